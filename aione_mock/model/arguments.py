"""Fill a schema with the values that a text names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from aione_mock.generator import generate
from aione_mock.generator.values import ValuePath
from aione_mock.model.mentions import Mention, Mentions
from aione_mock.model.slots import FREE_TEXT, NUMERIC, THING, Slot, get_list
from aione_mock.seed import Seed
from aione_mock.types import Json

_MAX_QUESTION = 500
"""Characters of the question that a parameter such as `query` takes."""
_SCALARS = ("string", "number", "integer")
_CHECKED = frozenset(["type", "title", "description", "enum", "default", "examples", "minimum", "maximum"])
_CHECKED_ROOT = frozenset(["type", "title", "description", "properties", "required", "additionalProperties"])
"""Keywords that a value assigned here is sure to satisfy."""
_SINGLE = tuple("quoted email url uuid datetime date time phone id place capitalised number".split())
"""Kinds of which the only value in a text goes to the only string of a schema."""
_SPREAD = ("place", "email", "id", "code")
"""Kinds of which a tool is called once for each value."""
_CLAUSE_END = re.compile(r"[.?!;,。？！；，\n]")
_WORD = re.compile(r"[^\W_]+")
Assignment = dict[ValuePath, tuple[Json, ...]]
"""Values to be tried at each path of a schema."""


def fill_schema(
    schema: Mapping[str, Json], slots: Sequence[Slot], mentions: Mentions, seed: Seed, *, sparse: bool = False
) -> Json:
    """Return an instance of a schema that holds what a text names. The rest is generated from the seed.

    With `sparse`, optional properties that nothing fills are left out. Raises ContractError as `generate` does.
    """
    values = assign_values(slots, mentions)
    if sparse and _is_complete(schema, values):
        return {name: values[name,][0] for name in schema.get("properties", ()) if (name,) in values}
    return generate(schema, seed, hints=lambda path, _: values.get(path, ()), sparse=sparse)


def _is_complete(schema: Mapping[str, Json], values: Assignment) -> bool:
    """Return whether the values make a valid object, as far as that is easy to see."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not (
        schema.keys() <= _CHECKED_ROOT
        and schema.get("type", "object") == "object"
        and isinstance(properties, Mapping)
        and isinstance(required, list)
        and () not in values
    ):
        return False
    nodes = [properties[path[0]] for path in values]
    return all(node.keys() <= _CHECKED and node.get("type") in _SCALARS for node in nodes) and all(
        isinstance(name, str) and (name,) in values for name in required
    )


def spread_mentions(slots: Iterable[Slot], mentions: Mentions) -> list[Mentions]:
    """Return the mentions once for each of several values that the schema takes only one of."""
    wanted = [slot.takes[0] for slot in slots if slot.takes and not slot.is_array]
    for kind in _SPREAD:
        if wanted.count(kind) == 1:
            found = {item.value: item for item in mentions.find(kind)}
            if len(found) > 1:
                return [mentions.with_values(kind, [item]) for item in found.values()]
    return [mentions]


class _Filler:
    """Assign values to slots."""

    def __init__(self, slots: Sequence[Slot], mentions: Mentions) -> None:
        self.slots = slots
        self.mentions = mentions
        self.values: Assignment = {}
        self.used: set[Mention] = set()

    def list_open(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.path not in self.values] if self.values else [*self.slots]

    def list_free(self, slot: Slot, kind: str) -> list[Mention]:
        found = self.mentions.find(kind)
        return [item for item in found if item not in self.used and _fits_bounds(slot, item.value)] if found else []

    def put(self, slot: Slot, items: Sequence[Mention]) -> None:
        spelled = [_spell_value(slot, item, self.mentions) for item in items]
        self.values[slot.path] = ([values[0] for values in spelled],) if slot.is_array else spelled[0]
        self.used.update(items)


def find_values(slots: Sequence[Slot], mentions: Mentions) -> Assignment:
    """Return the values of a text for the slots that take a certain kind of value."""
    certain = [slot for slot in slots if slot.takes not in (THING, FREE_TEXT)]
    return _assign_in_steps(certain, mentions, (_take_members, _take_nearest, _take_first))


def assign_values(slots: Sequence[Slot], mentions: Mentions) -> Assignment:
    """Return the values of a text for the slots that they fit."""
    return _assign_in_steps(slots, mentions, (_take_members, _take_nearest, _take_first, _take_only, _take_question))


def _assign_in_steps(
    slots: Sequence[Slot], mentions: Mentions, steps: Iterable[Callable[[_Filler], None]]
) -> Assignment:
    filler = _Filler(slots, mentions)
    for step in steps:
        if len(filler.values) == len(slots):
            break
        step(filler)
    return filler.values


def _take_members(filler: _Filler) -> None:
    """Fill slots by the members of their enums that the text names."""
    for slot in filler.slots:
        if "enum" in slot.node and (members := get_list(slot.node, "enum")):
            text = filler.mentions.text.lower()
            spoken = f" {' '.join(_WORD.findall(text))} "
            places = [(_find_member(member, text, spoken), member) for member in members if isinstance(member, str)]
            named = [member for at, member in sorted(places) if at >= 0]
            if named:
                filler.values[slot.path] = (named,) if slot.is_array else tuple(named)


def _find_member(member: str, text: str, spoken: str) -> int:
    if not member.isascii():
        return text.find(member)
    return spoken.find(f" {' '.join(_WORD.findall(member.lower()))} ")


def _take_nearest(filler: _Filler) -> None:
    """Fill slots whose name stands beside a value, the nearest first."""
    text = ""
    pairs = []
    for order, slot in enumerate(filler.list_open()):
        if slot.is_array:
            continue
        items = [item for kind in slot.takes for item in filler.list_free(slot, kind)]
        if len(filler.slots) == len(items) == 1:
            return
        text = text or f" {filler.mentions.text.lower()}"
        for item in items:
            distance = min([_measure_distance(text, word, item, slot) for word in slot.beside], default=inf)
            if distance < inf:
                pairs.append((distance, order, slot, item))
    for _, _, slot, item in sorted(pairs, key=lambda pair: pair[:2]):
        if slot.path not in filler.values and item not in filler.used:
            filler.put(slot, [item])


def _measure_distance(text: str, word: str, item: Mention, slot: Slot) -> float:
    """Return the number of characters between a word and a value; infinite if it is not beside it."""
    needle = f" {word}" if word.isascii() else word
    before, after = text[max(item.start - 24, 0) : item.start + 1], text[item.end + 1 : item.end + 14]
    gaps = []
    if (at := before.rfind(needle)) >= 0:
        gaps.append(before[at + len(needle) :])
    if (at := after.find(needle)) >= 0 and slot.types & NUMERIC:
        gaps.append(after[:at])
    # short words are whole words: `a` is not in `and`
    fitting = [gap for gap in gaps if not _CLAUSE_END.search(gap) and (len(word) > 2 or not gap[:1].isalpha())]
    return min(map(len, fitting), default=inf)


def _take_first(filler: _Filler) -> None:
    """Fill slots by the first value of a kind that they take, arrays by all of them."""
    for slot in sorted(filler.list_open(), key=lambda slot: slot.takes == THING):
        for kind in slot.takes:
            if found := filler.list_free(slot, kind):
                filler.put(slot, found if slot.is_array else found[:1])
                break


def _take_only(filler: _Filler) -> None:
    """Fill the only string by the only value, whatever its kind."""
    strings = [slot for slot in filler.slots if "string" in slot.types and "enum" not in slot.node]
    if len(strings) != 1 or strings[0].path in filler.values:
        return
    quoted = filler.list_free(strings[0], "quoted")
    items = quoted or [*dict.fromkeys([item for kind in _SINGLE for item in filler.list_free(strings[0], kind)])]
    if len(items) == 1:
        filler.put(strings[0], items)


def _take_question(filler: _Filler) -> None:
    """Fill parameters such as `query` by the whole question."""
    text = filler.mentions.text.strip()[:_MAX_QUESTION]
    for slot in filler.list_open():
        if text and slot.takes == FREE_TEXT and not slot.is_array:
            longest = slot.node.get("maxLength", _MAX_QUESTION)
            filler.values[slot.path] = (text[:longest] if isinstance(longest, int) else text,)


def _fits_bounds(slot: Slot, value: Json) -> bool:
    if not slot.types & NUMERIC:
        return True
    if "number" not in slot.types and not isinstance(value, int):
        return False
    least, greatest = slot.node.get("minimum", -inf), slot.node.get("maximum", inf)
    bounded = isinstance(least, int | float) and isinstance(greatest, int | float)
    return bool(bounded and least <= value <= greatest)


def _spell_value(slot: Slot, item: Mention, mentions: Mentions) -> tuple[Json, ...]:
    """Return the spellings of a value that a slot may want."""
    if slot.types & NUMERIC:
        return (item.value,)
    form = slot.node.get("format")
    if (form == "date-time" or slot.kind == "datetime") and item in mentions.find("date"):
        clock = next((time.value for time in mentions.find("time")), "00:00")
        return f"{item.value}T{clock}{'' if clock.count(':') > 1 else ':00'}Z", item.value
    if form == "time":
        return (f"{item.value}Z", f"{item.value}:00Z")
    # an id keeps its zeros
    return (item.value if isinstance(item.value, str) else mentions.text[item.start : item.end],)
