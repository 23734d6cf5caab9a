"""Which of the things that a text names belongs in which property of a schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache

from aione_mock.generator import SchemaPlan, generate, plan_schema
from aione_mock.generator.values import ValuePath
from aione_mock.generator.words import split_name, word_lists
from aione_mock.model.entities import Mention, Mentions
from aione_mock.model.slots import Slot, slots
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.types import Json

# What fills a property, by the kind of its name (`words.kind`) or by its format, best first.
_BY_KIND: Mapping[str, tuple[str, ...]] = {
    "city": ("city", "place", "country"),
    "country": ("country",),
    "street": ("city", "place", "country"),
    "full_name": ("name",),
    "first_name": ("name",),
    "username": ("name",),
    "email": ("email",),
    "phone": ("phone",),
    "date": ("date", "relative"),
    "datetime": ("datetime", "date", "relative"),
    "time": ("time",),
    "url": ("url",),
    "id": ("id", "uuid"),
    "currency": ("currency",),
    "symbol": ("symbol",),
    "title": ("quoted",),
    "sentence": ("quoted",),
}
_BY_FORMAT: Mapping[str, tuple[str, ...]] = {
    "email": ("email",),
    "uri": ("url",),
    "url": ("url",),
    "uuid": ("uuid",),
    "date": ("date",),
    "date-time": ("datetime", "date"),
    "time": ("time",),
}
# Kinds that a property takes when nothing better is named.
_LATER: Mapping[str, tuple[str, ...]] = {
    "city": ("proper",),
    "full_name": ("proper", "email"),
    "username": ("proper",),
    "email": ("name",),
    "id": ("number",),
    "company": ("proper",),
    "product": ("quoted", "proper"),
    "title": ("proper",),
}
_FROM = frozenset(["origin", "from", "departure", "start", "source", "出发地", "起点", "checkin", "begin", "depart"])
_TO = frozenset(["destination", "to", "arrival", "end", "target", "目的地", "终点", "checkout", "until", "return"])
_ASKING = {"query", "q", "question", "prompt", "input", "search", "keyword", "keywords", "message", "text", "content"}
_ASKING |= {
    "body",
    "topic",
    "term",
    "phrase",
    "sentence",
    "request",
    "instruction",
    "查询",
    "问题",
    "关键词",
    "内容",
    "文本",
}
_LEAD = re.compile(
    r"(?i)^\W*(?:please\s+|can you\s+|could you\s+|would you\s+|I want to\s+|I'd like to\s+)*"
    r"(?:(?:search|look)\s+(?:the\s+\w+\s+)?(?:for|up)|find(?:\s+me)?|google|translate|send"
    r"|remind me (?:to|about|that))\s+"
    r"|^(?:请|帮我|麻烦|你|能否|可以|给我)*(?:搜索|查找|搜一下|查一下|翻译|查询|提醒我)(?:一下)?"
)
_CLAUSE = re.compile(r"[.?!;,。？！；，\d]")
_SAYING = re.compile(r"(?i)(?:\bsaying(?: that)?|\bthat says|\bto say|\bsays|内容是|内容为|[:：])\s*(.+)", re.S)
_NEGATION = re.compile(
    r"(?i)\b(?:no|not|without|don't|do not|disable|exclude|skip|turn off)\b[^\w,.;，。]*(?:\w+[^\w,.;，。]+){0,2}$"
    r"|(?:不要?|别|无需?|关闭)[\u4e00-\u9fff]{0,2}$"
)
_YES = re.compile(r"(?i)\b(?:yes|true|enabled?|turn on|include|with)\b|是的|需要|开启|打开|包含")
_NO = re.compile(r"(?i)\b(?:no|false|disabled?|turn off|without)\b|不要|不需要|关闭")


def fill(schema: Json, mentions: Mentions, seed: Seed, *, sparse: bool = False) -> Json:
    """An instance of a schema in which what the text names stands where it fits; the rest is generated.

    Names, descriptions, formats, units and enums of the properties decide. With `sparse`, optional properties that
    nothing fills are left out. Raises ContractError as `generate` does.
    """
    plan = plan_schema(schema)
    found = assign(plan, mentions)
    return generate(schema, seed, hints=lambda path, _: found.get(path, ()), sparse=sparse)


def spread(schema: Json, mentions: Mentions) -> list[Mentions]:
    """The mentions once for each of several places (or ids, addresses, symbols) that the schema takes only one of."""
    taken = [kinds for slot, kinds in zip(*_takers(plan_schema(schema)), strict=True) if not slot.array]
    for several in (("city", "place", "country"), ("symbol",), ("email",), ("id",)):
        takers = [kinds for kinds in taken if several[0] in kinds]
        if len(takers) != 1:
            continue
        values = list(dict.fromkeys(item.value for item in mentions.of(*several[:2])))
        routes = any(item.role == "from" for item in mentions.of(*several))
        if len(values) > 1 and not routes:
            return [_only(mentions, several, value) for value in values]
    return [mentions]


def fitting(schema: Json, mentions: Mentions) -> bool:
    """Whether a text names anything that some property takes by its kind."""
    return bool(mentions.of(*(kind for kinds in _takers(plan_schema(schema))[1] for kind in kinds)))


@lru_cache(512)
def _takers(plan: SchemaPlan) -> tuple[tuple[Slot, ...], tuple[tuple[str, ...], ...]]:
    """The slots of a schema, and the kinds of mentions that each takes."""
    return slots(plan), tuple(_wanted(slot) for slot in slots(plan))


def _only(mentions: Mentions, kinds: tuple[str, ...], value: Json) -> Mentions:
    return replace(mentions, items=tuple(i for i in mentions.items if i.kind not in kinds or i.value == value))


def assign(plan: SchemaPlan, mentions: Mentions) -> dict[ValuePath, tuple[Json, ...]]:
    """Values to try at each path of a schema: each mention goes to the slot that it fits best."""
    open_slots = slots(plan)
    found: dict[ValuePath, tuple[Json, ...]] = {}
    used: set[Mention] = set()
    offers = (_members, _switched, _numbers, _several, _strong, _later, _bearing, _remaining, _asked)
    for offer in offers:
        for slot in open_slots:
            if slot.path in found:
                continue
            for values, mention in offer(slot, mentions, used):
                if any(plan.accepts(slot.node, value) for value in values):
                    found[slot.path] = values
                    used.update(mention)
                    break
    return found


Offer = Iterator[tuple[tuple[Json, ...], tuple[Mention, ...]]]


def _wanted(slot: Slot) -> tuple[str, ...]:
    """The kinds of mentions that a string slot takes."""
    if "enum" in slot.words or not ({"string"} & set(slot.types) or not slot.types):
        return ()
    form = str(slot.words.get("format"))
    if form in _BY_FORMAT:
        return _BY_FORMAT[form]
    if "expression" in split_name(slot.name) or "formula" in split_name(slot.name):
        return ("expression",)
    own = slot.kind
    if own is None or (own == "full_name" and _asks_name_of_thing(slot)):
        return _BY_ROLE.get(_side(slot), ())
    return _BY_KIND.get(own, ())


_BY_ROLE: Mapping[str, tuple[str, ...]] = {
    "from": ("city", "place", "country"),
    "to": ("email", "city", "place", "country"),
}


def _asks_name_of_thing(slot: Slot) -> bool:
    """A bare `name` holds a person's name only where nothing says otherwise."""
    about = str(slot.words.get("description", "")).lower()
    return any(word in about for word in ("city", "city name", "location", "place")) and slot.name == "name"


def _side(slot: Slot) -> str:
    tokens = set(split_name(slot.name))
    return "from" if tokens & _FROM else "to" if tokens & _TO else ""


def _members(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    """Members of an enum that the text names."""
    members = slot.words.get("enum")
    if not isinstance(members, list):
        own = slot.kind
        members = (
            word_lists()["en"].get(own, []) + word_lists()["zh"].get(own, [])
            if own in ("language", "color", "department")
            else []
        )
    hits = sorted(
        (at, n)
        for n, member in enumerate(members)
        if isinstance(member, str) and (at := _named(member, mentions.text)) >= 0
    )
    chosen = [members[n] for _, n in hits]
    if slot.array and chosen:
        yield (chosen,), ()
    elif chosen:
        yield tuple(chosen), ()


@lru_cache(2048)
def _spellings(member: str) -> re.Pattern[str]:
    extra = word_lists()["members"].get(member) or word_lists()["members"].get(member.lower(), ())
    spoken = [" ".join(split_name(member)) or member, member, *extra]
    words = [
        rf"(?<![^\W_]){re.escape(s)}(?![^\W_])" if s.isascii() else re.escape(s)
        for s in spoken
        if len(s) > 1 or not s.isalnum()
    ]
    return re.compile("|".join(words) or r"(?!)", re.I)


def _named(member: str, text: str) -> int:
    """Where a text names a member of an enum; -1 if it does not."""
    match = _spellings(member).search(text)
    return match.start() if match else -1


def _switched(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    """Booleans: named by the property's own words, or by a bare yes or no."""
    if "boolean" not in slot.types:
        return
    text = mentions.text
    for word in split_name(slot.name):
        match = re.search(rf"(?i){re.escape(word)}", text) if len(word) > 2 or not word.isascii() else None
        if match:
            yield (not _NEGATION.search(text[: match.start()]),), ()
    if _NO.search(text):
        yield (False,), ()
    elif _YES.search(text):
        yield (True,), ()


def _numbers(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    """Numbers next to a word of the property's name, or with a unit that fits it."""
    if not {"number", "integer"} & set(slot.types):
        return
    if slot.array:
        numbers = [item for item in mentions.of("number", "money") if item not in used]
        if numbers:
            yield ([item.value for item in numbers],), tuple(numbers)
        return
    ranked = sorted(
        ((-_nearness(slot, item, mentions.text), at, item) for at, item in enumerate(mentions.of("number", "money"))),
        key=lambda r: r[:2],
    )
    for score, _, item in ranked:
        if score < 0 and item not in used:
            yield (item.value,), (item,)


def _nearness(slot: Slot, item: Mention, text: str) -> int:
    """How much a number's surroundings sound like the property."""
    words = split_name(slot.name)
    units = [str(unit) for word in words for unit in _units().get(word, ())]
    score = 4 if item.unit and any(_same_unit(item.unit, unit) for unit in units) else 0
    score += 3 if item.kind == "money" and "usd" in units else 0
    before, after = text[max(item.start - 24, 0) : item.start].lower(), text[item.end : item.end + 16].lower()
    clause, ahead = _CLAUSE.split(before)[-1], _CLAUSE.split(after)[0]
    for word in words:
        stem = word.rstrip("s") if word.isascii() else word
        if len(stem) < 2 and word.isascii():
            score += 5 if re.search(rf"\b{re.escape(stem)}\s*(?:=|is|:)?\s*$", clause) else 0
        elif stem in item.unit or (len(item.unit) > 3 and stem.startswith(item.unit.rstrip("s"))):
            score += 6
        elif stem in ahead or stem in clause:
            score += 2
    return score


def _same_unit(written: str, known: str) -> bool:
    """Whether a unit is a known one; Chinese ones stand beside measure words and nouns: 人 is in 2个人 and 2人份."""
    return written == known or (not known.isascii() and (written.startswith(known) or written.endswith(known)))


@cache
def _units() -> Mapping[str, list[str]]:
    table: Mapping[str, list[str]] = word_lists()["units"]
    return table


def _several(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    """Lists before single values, where there are several for them."""
    if slot.array and len(mentions.of(*_wanted(slot))) > 1:
        yield from _offered(slot, mentions, used, _wanted(slot))


def _strong(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    yield from _offered(slot, mentions, used, _wanted(slot))


def _later(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    if _takes_any_text(slot):
        yield from _offered(slot, mentions, used, _LATER.get(slot.kind or "", ()))


def _bearing(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    """Names of things, for properties such as `hotel` or `favourite_film`."""
    words = split_name(slot.name)
    if _takes_any_text(slot) and slot.kind is None and words and words[-1].removesuffix("s") in _bearers():
        yield from _offered(slot, mentions, used, ("quoted", "proper"))


def _takes_any_text(slot: Slot) -> bool:
    return "string" in slot.types and "enum" not in slot.words and "format" not in slot.words


@cache
def _bearers() -> frozenset[str]:
    return frozenset(word_lists()["bearers"])


def _offered(slot: Slot, mentions: Mentions, used: set[Mention], kinds: Iterable[str]) -> Offer:
    """Mentions of the kinds, in their order; those whose preposition fits the property's side first."""
    free = [item for wanted in kinds for item in mentions.of(wanted) if item not in used]
    if slot.array:
        some = [item for item in free if item.kind in (free[0].kind, "place", "city")] if free else []
        if some:
            yield (list(dict.fromkeys(item.text for item in some)),), tuple(some)
        return
    side = _side(slot)
    if side:
        free.sort(key=lambda item: item.role != side)
    first_name = {"first name": 0, "given name": 0, "last name": -1, "surname": -1}.get(" ".join(split_name(slot.name)))
    for item in free:
        if first_name is not None and item.kind == "name":
            yield (item.value.split()[first_name],), ()
        else:
            yield _spelled(item, slot, mentions), (item,)


def _spelled(item: Mention, slot: Slot, mentions: Mentions) -> tuple[Json, ...]:
    """The value in the spellings that a slot may want."""
    if item.kind == "date":
        clock = next((other.value for other in mentions.of("time")), "00:00")
        stamp = f"{item.value}T{clock if clock.count(':') == 2 else clock + ':00'}Z"
        return (
            (stamp, item.value)
            if slot.kind == "datetime" or slot.words.get("format") == "date-time"
            else (item.value, stamp)
        )
    if item.kind == "time":
        full = item.value if item.value.count(":") == 2 else f"{item.value}:00"
        return (item.value, full, f"{full}Z")
    return (str(item.value), item.text) if "string" in slot.types and not isinstance(item.value, str) else (item.value,)


def _remaining(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    """Numbers that no property claimed, in the order of the text."""
    if {"number", "integer"} & set(slot.types) and "enum" not in slot.words and not slot.array:
        for item in mentions.of("number", "money"):
            if item not in used:
                yield (item.value,), (item,)


def _asked(slot: Slot, mentions: Mentions, used: set[Mention]) -> Offer:
    """The quoted part of the text, or what it asks for, in properties that take free text."""
    if "string" not in slot.types or "enum" in slot.words or slot.array or "format" in slot.words:
        return
    free = [item for item in mentions.of("quoted") if item not in used]
    tokens = set(split_name(slot.name))
    if slot.kind == "title" and _LEAD.match(mentions.text):
        tokens |= {"request"}
    if free and (tokens & _ASKING or slot.kind in (None, "full_name", "product", "filename")):
        yield (free[0].value,), (free[0],)
    if not tokens & _ASKING or not mentions.text.strip():
        return
    said = _SAYING.search(mentions.text) if tokens & {"message", "body", "content", "text"} else None
    plain = (said[1] if said else _LEAD.sub("", mentions.text)).strip().rstrip("?.!。？！") or mentions.text.strip()
    plain = re.sub(r"(?i),?\s+please$", "", plain)
    most = slot.words.get("maxLength", 500)
    yield (plain[: min(most, 500)].strip(),), ()
