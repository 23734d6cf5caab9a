"""What a text names: numbers, quotations, dates, places and the like, by expressions and word lists.

Only the first and last 4,096 characters of a long text are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache

from aione_mock.generator.words import CJK, word_lists
from aione_mock.model import dates
from aione_mock.structs import replace
from aione_mock.types import Json

_READ = 4096
_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_HAN_DIGITS = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "CNY", "￥": "CNY"}
_CODES = {"USD", "EUR", "GBP", "CNY", "JPY", "CHF", "HKD", "AUD", "CAD", "SGD", "KRW", "INR"}
_NOT_SYMBOLS = {
    "AI",
    "API",
    "ID",
    "JSON",
    "OK",
    "PDF",
    "SQL",
    "UK",
    "URL",
    "US",
    "USA",
    "AM",
    "PM",
    "THE",
    "AND",
    "FAQ",
    "HTTP",
}
_FORMS = re.compile(
    rf"""
    (?P<url>https?://[^\s"'<>，。、）)]+[^\s"'<>，。、）).,;:!?])
    |(?P<email>(?<![\w.%+-])[A-Za-z0-9._%+-]{{1,64}}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)
    |(?P<uuid>\b[0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}\b)
    |(?P<datetime>\b\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)
    |(?P<date>(?<!\d)\d{{4}}(?:-\d\d?-\d\d?|/\d\d?/\d\d?)(?!\d)
      |\b(?i:{dates.MONTH})\.?\ \d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\ \d{{4}}\b)?
      |\b\d{{1,2}}(?:st|nd|rd|th)?\ (?:of\ )?(?i:{dates.MONTH})\b\.?(?:,?\ \d{{4}}\b)?
      |(?:\d{{4}}年)?\d{{1,2}}月\d{{1,2}}[日号])
    |(?P<time>(?<![\d:])\d{{1,2}}:\d\d(?::\d\d)?(?:\ ?(?i:[ap]\.?m\b\.?))?|\b\d{{1,2}}\ ?(?i:[ap]\.?m\b\.?)
      |(?:上午|下午|晚上|早上|中午)?\d{{1,2}}点(?:半|\d{{1,2}}分)?)
    |(?P<id>\b[A-Z]{{1,6}}[-_]\d{{2,}}(?:-\w+)*\b|\#\d{{2,}}|\b[A-Z]{{1,4}}\d{{4,}}\b
      |(?:(?<=\border\ )|(?<=\bid\ )|(?<=\bticket\ )|(?<=订单)|(?<=订单号)|(?<=编号))[:：\#]?\ ?\d{{3,}}\b)
    |(?P<phone>\+\d[\d\ ()-]{{7,}}\d|(?<!\d)1[3-9]\d{{9}}(?!\d))
    |(?P<expression>(?<![\w.])\(*-?\d[\d.]*\)*(?:\s*[-+*/×÷^%]\s*\(*-?\d[\d.]*\)*)+(?![\w]))
    |(?P<number>(?P<sign>[$€£¥￥])?(?:(?<![\w.])|(?<=[\u4e00-\u9fff]))-?\d[\d,]*(?:\.\d+)?
      (?:[ ]?(?P<unit>%|°[CF]?|[A-Za-z]+|[\u4e00-\u9fff]{{1,2}}))?)
    """,
    re.X,
)
_FORM_LIKELY = re.compile(r"\d|@|://")
_SPOKEN = re.compile(
    rf"""
    \b(?=[a-zA-Z])(?:
      (?P<relative>(?i:day\ after\ tomorrow|today|tonight|tomorrow|yesterday
        |(?:next\ |this\ )?(?:{dates.WEEKDAY}))\b)
      |(?P<time>(?i:noon|midnight)\b)
      |(?P<word>{"|".join(_NUMBERS)})\b\ (?P<wordunit>[a-z]+)
    )""",
    re.X,
)
_SPOKEN_HAN = re.compile(
    r"(?P<relative>今天|今晚|明天|后天|昨天|(?:下|这|本)?(?:周|星期)[一二三四五六日天])"
    r"|(?P<han>[一二两三四五六七八九十])(?P<hanunit>个人|个小时|[个位名人天晚张件次杯份本]|小时|分钟)"
)
_NUMERAL = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(
    r"\"([^\"\n]{1,500})\"|“([^”\n]{1,500})”|「([^」]{1,500})」|《([^》]{1,200})》"
    r"|(?<!\w)'([^'\n]{1,200})'(?!\w)|`([^`\n]{1,500})`"
)
_NAMED = re.compile(
    r"(?:\b(?:named|called|name is|I'm|I am|name:|with|by)\s+|^(?:Dr|Mr|Mrs|Ms)\.?\s+)"
    r"(?P<en>[A-Z][a-z]+(?:\s[A-Z][a-z]+)?)"
    r"|(?:名叫|叫做|名字是|我是|姓名是|叫)(?P<zh>[\u4e00-\u9fff]{2,3}(?=[，。,.、；\s]|今|是|$))"
)
_PROPER = re.compile(r"\b[A-Z][a-zA-Z'’]{0,30}[a-z](?:\s+[A-Z][a-zA-Z'’]{0,30}[a-z]){0,2}")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_FURTHER = re.compile(r",\s?([A-Z][A-Za-z]+(?:\s[A-Z][a-z]+)?)")
_SYMBOL = re.compile(r"(?<![\w$])\$?([A-Z]{2,5})(?![\w'-])")
_HAN_PLACE = re.compile(
    r"(?:在|到|去|从|飞往|前往)(?P<a>[\u4e00-\u9fff]{2,4}?)(?=的|有|到|去|天|，|。|,|\s|$)"
    r"|(?P<b>[\u4e00-\u9fff]{2}(?=市?的(?:天气|气温|时间)))"
)
_NO_PLACE = re.compile("今|明|后天|昨|现在|这|那|哪|我|你|一|家里|的")
_BEFORE = re.compile(
    r"(?i)(?:\b(from|to|in|at|near|for|of|and|into|leaving)\s+(?:the\s+)?|(从|到|去|至|飞往|前往|往|在|和))$"
)
_ROLES = {
    "leaving": "from",
    "into": "to",
    "从": "from",
    "到": "to",
    "去": "to",
    "至": "to",
    "飞往": "to",
    "前往": "to",
    "往": "to",
    "在": "in",
}


@dataclass(frozen=True, slots=True)
class Mention:
    """One thing that a text names."""

    kind: str
    """number, money, quoted, date, relative, datetime, time, email, url, id, uuid, phone, expression, city, country,
    place, name, proper, symbol or currency."""
    value: Json
    """A number; else text, dates and times in their ISO form."""
    text: str
    """As it stands in the text."""
    start: int
    end: int
    unit: str = ""
    role: str = ""
    """`from` or `to`, or another word before it, for places and dates."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """All that a text names, in the order of the text."""

    text: str
    items: tuple[Mention, ...] = ()

    def of(self, *kinds: str) -> tuple[Mention, ...]:
        """The mentions of these kinds."""
        return tuple([item for item in self.items if item.kind in kinds])

    def within(self, start: int, end: int) -> Mentions:
        """Only what lies between two places of the text."""
        return replace(self, items=tuple([item for item in self.items if start <= item.start < end]))

    def first_from(self, start: int, end: int) -> Mentions:
        """The same, with what lies between two places of the text put first."""
        inner = [item for item in self.items if start <= item.start < end]
        return replace(self, items=(*inner, *(item for item in self.items if item not in inner)))


def find(text: str, today: date | None = None) -> Mentions:
    """Everything that a text names.

    Days like 'tomorrow' become dates only with a `today`; without, they stay as written (kind `relative`).
    """
    return _find(text if len(text) <= 2 * _READ else f"{text[:_READ]}\n{text[-_READ:]}", today)


@lru_cache(256)
def _find(text: str, today: date | None) -> Mentions:
    han = CJK.search(text) is not None
    expressions = [_SPOKEN, *([_FORMS] if _FORM_LIKELY.search(text) else []), *([_SPOKEN_HAN] if han else [])]
    forms = [mention for form in expressions for match in form.finditer(text) for mention in _form(match, today)]
    places = [*_places(text), *(_han_places(text) if han else ())]
    taken = [(item.start, item.end) for item in (*forms, *places) if item.kind not in ("number", "expression")]
    names = [*_names(text), *(Mention("name", m[0], m[0], *m.span()) for m in _han_name().finditer(text) if han)]
    names = [mention for mention in names if not _overlaps(mention, taken)]
    symbols = [mention for mention in map(_symbol, _SYMBOL.finditer(text)) if not _overlaps(mention, taken)]
    found = [
        *forms,
        *places,
        *quotations(text),
        *names,
        *(symbol for symbol in symbols if symbol.value not in _NOT_SYMBOLS),
    ]
    return Mentions(text, tuple(sorted(found, key=lambda item: (item.start, item.end))))


def _overlaps(item: Mention, spans: list[tuple[int, int]]) -> bool:
    return any(item.start < end and start < item.end for start, end in spans)


def _form(match: re.Match[str], today: date | None) -> Iterator[Mention]:
    kind, raw, start, end = match.lastgroup or "", match[0], match.start(), match.end()
    kind = "number" if kind in ("sign", "unit", "word", "wordunit", "han", "hanunit") else kind
    if kind in ("date", "relative"):
        day = dates.written(raw, today) if kind == "date" else dates.relative(raw, today) if today else None
        known = "relative" if day is None else "date"
        yield Mention(known, raw if day is None else day.isoformat(), raw, start, end, role=_role(match.string, start))
    elif kind == "datetime":
        stamp = raw.replace(" ", "T")
        stamp += ":00" if stamp.count(":") == 1 else ""
        yield Mention(kind, stamp if stamp[-1] == "Z" or "+" in stamp else stamp + "Z", raw, start, end)
        yield Mention("date", raw[:10], raw[:10], start, start + 10)
    elif kind == "time":
        yield Mention(kind, dates.clock(raw), raw, start, end)
    elif kind == "expression":
        yield Mention(kind, raw.strip(), raw, start, end)
        for numeral in _NUMERAL.finditer(raw.replace("-", " ") if " - " in raw else raw):
            yield Mention("number", _value(numeral[0]), numeral[0], start + numeral.start(), start + numeral.end())
    elif kind == "number":
        yield _number(match)
    else:
        yield Mention(kind, raw.strip("#:： ") if kind == "id" else raw, raw, start, end)


def _number(match: re.Match[str]) -> Mention:
    groups = match.groupdict()
    unit = (groups.get("unit") or groups.get("wordunit") or groups.get("hanunit") or "").lower()
    spoken = groups.get("word") or groups.get("han")
    if spoken:
        value: Json = _NUMBERS.get(spoken) or _HAN_DIGITS[spoken]
    else:
        numeral = _NUMERAL.search(match[0].replace(",", ""))
        value = _value(numeral[0]) if numeral else 0
    kind = "number"
    if groups.get("sign"):
        kind, unit = "money", _CURRENCIES[groups["sign"]].lower()
    return Mention(kind, value, match[0], match.start(), match.end(), unit=unit)


def _value(numeral: str) -> int | float:
    return float(numeral) if "." in numeral or len(numeral) > 18 else int(numeral)


def _role(text: str, start: int) -> str:
    before = _BEFORE.search(text[max(start - 14, 0) : start])
    word = (before[1] or before[2] or "").lower() if before else ""
    return _ROLES.get(word, word)


@cache
def _gazetteer() -> tuple[Mapping[str, str], frozenset[str], Mapping[str, str], re.Pattern[str]]:
    """English names in lower case to their kind, first words of longer ones; Chinese names, an expression for them."""
    tables = {"city": word_lists()["cities"], "country": word_lists()["countries"]}
    english = {name.lower(): kind for kind, table in tables.items() for name in table}
    starts = frozenset(name.split()[0] for name in english if " " in name)
    chinese = {name: kind for kind, table in tables.items() for name in table.values()}
    longest_first = sorted(chinese, key=lambda name: -len(name))
    return english, starts, chinese, re.compile("|".join(map(re.escape, longest_first)))


def _places(text: str) -> Iterator[Mention]:
    english, starts = _gazetteer()[:2]
    words = [(match[0].lower().removesuffix("'s").removesuffix("’s"), match.start()) for match in _WORD.finditer(text)]
    until = -1
    for at, (word, start) in enumerate(words):
        if start < until or not (word in english or word in starts):
            continue
        sizes = (3, 2, 1) if word in starts else (1,)
        name = next(
            (n for n in (" ".join(w for w, _ in words[at : at + size]) for size in sizes) if n in english), None
        )
        if name and (english[name] == "city" or text[start].isupper()):
            place = _place(text, start, len(name), english[name])
            until = place.end
            yield place


def _han_places(text: str) -> Iterator[Mention]:
    _, _, chinese, expression = _gazetteer()
    for match in expression.finditer(text):
        yield Mention(chinese[match[0]], match[0], match[0], *match.span(), role=_role(text, match.start()))
    for match in _HAN_PLACE.finditer(text):
        name, start = match[match.lastgroup or 0], match.start(match.lastgroup or 0)
        if not expression.search(name) and not _NO_PLACE.search(name):
            yield Mention("place", name, name, start, start + len(name), role=_role(text, start))


def _place(text: str, start: int, length: int, kind: str) -> Mention:
    end = start + length
    further = _FURTHER.match(text, end) if kind == "city" else None
    if further and (_gazetteer()[0].get(further[1].lower()) == "country" or re.fullmatch("[A-Z]{2}", further[1])):
        end = further.end()
    role = _role(text, start)
    if not role and text[end : end + 4] == " to ":
        role = "from"
    return Mention(kind, text[start:end], text[start:end], start, end, role=role)


def quotations(text: str) -> list[Mention]:
    """What stands in quotation marks."""
    return [_quotation(match) for match in _QUOTED.finditer(text)]


def _quotation(match: re.Match[str]) -> Mention:
    inner = next(group for group in match.groups() if group is not None)
    return Mention("quoted", inner.strip(), inner, *match.span(match.lastindex or 0))


def _symbol(match: re.Match[str]) -> Mention:
    return Mention("currency" if match[1] in _CODES else "symbol", match[1], match[1], *match.span(1))


@cache
def _first_names() -> frozenset[str]:
    return frozenset(word_lists()["made_en"]["first_name"]) | frozenset(word_lists()["en"]["first_name"])


@cache
def _han_name() -> re.Pattern[str]:
    surnames = "".join(word_lists()["zh"]["last_name"])
    return re.compile(
        rf"(?<![\u4e00-\u9fff])[{surnames}][\u4e00-\u9fff]{{1,2}}?(?=住|在|是|今年|和|，|、|喜欢|去|有|的|\d)"
    )


def _names(text: str) -> Iterator[Mention]:
    named: list[tuple[int, int]] = []
    for match in _NAMED.finditer(text):
        group = "en" if match["en"] else "zh"
        if match[group].lower() not in dates.NAMES:
            named.append(match.span(group))
            yield Mention("name", match[group], match[group], *match.span(group))
    for match in _PROPER.finditer(text):
        if any(start < match.end() and match.start() < end for start, end in named):
            continue
        first = match[0].split()[0]
        name = match[0].removesuffix("'s").removesuffix("’s")
        begins = not text[: match.start()].strip() or text[: match.start()].rstrip()[-1] in ".!?\n:"
        if first.removesuffix("'s") in _first_names():
            yield Mention("name", name, name, match.start(), match.start() + len(name))
        elif not begins and first.lower() not in dates.NAMES:
            role = _role(text, match.start())
            yield Mention("proper", name, name, match.start(), match.start() + len(name), role=role)
