"""The grammar of an event stream: which events may follow each other, and how they fold into the plain answer.

The contract declares it as `x-stream` beside the schema of the events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs
import orjson

from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.errors import ContractError
from aione_mock.structs import frozen
from aione_mock.text.sse import Event
from aione_mock.types import Json

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\S")
_PLACEHOLDER = re.compile(r"\{(.*?)\}")
_ABSENT: Any = object()
"""Distinguishes a missing value from null."""
_MAX_INDEX = 100_000
"""Higher list indices are rejected, so that a wrong one cannot exhaust the memory."""
_MAX_SHOWN_KINDS = 13
_MAX_TRIED_EVENTS = 40
"""Events, the first and the last ones, that may be the one at fault."""
_OPERATIONS = ("set", "append", "json", "join")


@frozen
class StreamProblem:
    """A place at which a stream violates its grammar."""

    place: str
    """Empty for all events, such as `choices 0` for those of one item, or the pointer of a value that changes."""
    rule: str
    """What is violated, without figures of the stream: `order`, `order of choices` or `constant /id`."""
    expected: str
    seen: str
    mistake: str = ""
    """What one event would mend, in words; empty if it takes more."""

    def __str__(self) -> str:
        return f"{self.place}: {self.seen}; expected {self.expected}".removeprefix(": ")


@frozen
class EventOrder:
    """Names the kind of each event and says which sequences of kinds are allowed."""

    text: str
    pattern: re.Pattern[str]
    pointer: str | None
    kinds: tuple[tuple[str, jsonschema_rs.Draft202012Validator], ...]
    schemas: tuple[tuple[str, Json], ...]
    """Kind → its schema."""

    @classmethod
    def parse(cls, spec: Mapping[str, Json], where: str) -> EventOrder:
        """Read `kind` or `kinds`, and `order`. Raise ContractError if they cannot be used."""
        text = str(spec.get("order", ""))
        kinds = tuple(
            (name, jsonschema_rs.Draft202012Validator(schema)) for name, schema in spec.get("kinds", {}).items()
        )
        pointer = spec.get("kind")
        if not text or (pointer is None) == (not kinds):
            raise ContractError(f"{where}: needs `order`, and either `kind` or `kinds`")
        unknown = {word for word in _WORD.findall(text) if kinds and word not in dict(kinds)}
        if unknown:
            raise ContractError(f"{where}: `order` names the unknown kind '{min(unknown)}'")
        try:
            pattern = re.compile("".join(f"(?:{t} )" if _WORD.match(t) else t for t in _TOKEN.findall(text)))
        except re.error as error:
            raise ContractError(f"{where}: `order` is not a regular expression: {error}") from None
        return cls(text, pattern, pointer, kinds, tuple(spec.get("kinds", {}).items()))

    def find_kind(self, data: Json) -> str:
        """Return the kind of an event's data; `unknown` if no schema accepts it."""
        if self.pointer is not None:
            return str(resolve_pointer(data, self.pointer, "unknown")) if isinstance(data, dict | list) else "unknown"
        return next((name for name, schema in self.kinds if schema.is_valid(data)), "unknown")

    def find_problem(self, kinds: Sequence[str], items: str = "", key: Json = "") -> StreamProblem | None:
        """Describe how a sequence of kinds, those of one item if `items` names it, violates the order."""
        if self.pattern.fullmatch("".join(kind + " " for kind in kinds)):
            return None
        long = len(kinds) > _MAX_SHOWN_KINDS
        shown = f"{' '.join(kinds[:8])} … {' '.join(kinds[-4:])}" if long else " ".join(kinds)
        place, rule = (f"{items} {key}", f"order of {items}") if items else ("", "order")
        seen = f"events come as '{shown}'"
        mistake = self._find_mistake(list(kinds))
        expected = f"'{self.text}'{self._explain_kinds()}"
        return StreamProblem(place, rule, expected, f"{mistake}; {seen}" if mistake else seen, mistake)

    def _find_mistake(self, kinds: list[str]) -> str:
        """Say in words what one event more, less or of another kind would mend; empty if none does."""
        names = [name for name in _WORD.findall(self.text) if name != "unknown"]
        if mended := self._find_mending([*kinds, name] for name in names):
            return f"the stream ends without {self._describe_kind(mended[-1])}"
        for position in (0, *range(len(kinds) - 1, 0, -1))[:_MAX_TRIED_EVENTS]:
            before, kind, after = kinds[:position], kinds[position : position + 1], kinds[position + 1 :]
            if kind and (mended := self._find_mending([*before, name, *after] for name in names)):
                return f"event {position + 1} {self._describe_lack(kind[0], mended[position])}"
            if kind and self._find_mending([[*before, *after]]):
                return f"event {position + 1} is one too many: {kind[0]}"
            if mended := self._find_mending([*before, name, *kind, *after] for name in names):
                return f"{self._describe_kind(mended[position])} is missing before event {position + 1}"
        return ""

    def _find_mending(self, sequences: Iterable[list[str]]) -> list[str]:
        """Return the first sequence of kinds that the order allows; none is empty."""
        return next((each for each in sequences if self.pattern.fullmatch("".join(kind + " " for kind in each))), [])

    def _describe_kind(self, name: str) -> str:
        return ", ".join(_list_marks(dict(self.schemas).get(name, {}))) or name

    def _describe_lack(self, kind: str, wanted: str) -> str:
        marks = self._describe_kind(wanted)
        return f"is {kind}, not {wanted}" if marks == wanted else f"has no {marks}"

    def _explain_kinds(self) -> str:
        """Return what tells the kinds apart, in parentheses; empty if their names say it."""
        marks_by_name = {
            name: ", ".join(_list_marks(schema)) for name, schema in self.schemas if name in _WORD.findall(self.text)
        }
        marks = [f"{name} has {mark}" for name, mark in marks_by_name.items() if mark]
        return f" ({'; '.join(marks)})" if marks else ""


@frozen
class ItemOrder:
    """The order of the events that belong to one item, such as one choice or one content block."""

    items: str | None
    """Pointer to the items of an event; None if the event itself is one."""
    key: str
    """Pointer to what identifies an item."""
    order: EventOrder

    @property
    def name(self) -> str:
        """What messages call the items."""
        return self.items.rpartition("/")[2] if self.items else "events of index"

    def group_kinds(self, data: Iterable[Json]) -> dict[Json, list[str]]:
        """Return the kinds of all events of each item."""
        found: dict[Json, list[str]] = {}
        for value in data:
            items = [value] if self.items is None else resolve_pointer(value, self.items, [])
            for item in items if isinstance(items, list) else []:
                key = resolve_pointer(item, self.key, None)
                if key is not None and not isinstance(key, list | dict):
                    found.setdefault(key, []).append(self.order.find_kind(item))
        return found


@frozen
class StreamGrammar:
    """The `x-stream` of one operation."""

    order: EventOrder
    each: ItemOrder | None
    anywhere: frozenset[str]
    """Kinds that may come at any place."""
    constant: tuple[str, ...]
    """Pointers to values that are the same in all events."""
    fold_rules: tuple[Mapping[str, Json], ...]

    @classmethod
    def parse(cls, spec: Mapping[str, Json], where: str = "x-stream") -> StreamGrammar:
        """Read the extension. Raise ContractError, which names the place, if it cannot be used."""
        for rule in spec.get("fold", ()):
            if rule.get("op", "set") not in _OPERATIONS:
                raise ContractError(f"{where}/fold: unknown op '{rule.get('op')}'; known: {', '.join(_OPERATIONS)}")
        each = spec.get("each")
        return cls(
            EventOrder.parse(spec, where),
            ItemOrder(each.get("items"), each["key"], EventOrder.parse(each, f"{where}/each")) if each else None,
            frozenset(spec.get("anywhere", ())),
            tuple(spec.get("constant", ())),
            tuple(spec.get("fold", ())),
        )

    def find_kind(self, data: Json) -> str:
        """Return the kind of an event's data."""
        return self.order.find_kind(data)

    def find_problems(self, events: Iterable[Event]) -> list[StreamProblem]:
        """Return everything by which a complete stream violates the grammar."""
        data = [decode_data(event) for event in events]
        kinds = [kind for kind in map(self.find_kind, data) if kind not in self.anywhere]
        found = [self.order.find_problem(kinds)]
        if self.each:
            groups, each = self.each.group_kinds(data), self.each
            found += [each.order.find_problem(sequence, each.name, key) for key, sequence in groups.items()]
        found += [_find_change(pointer, data) for pointer in self.constant]
        return [problem for problem in found if problem]

    def fold(self, events: Iterable[Event]) -> Json:
        """Return the plain answer that the events add up to. Raise ValueError if they cannot be added up."""
        answer: dict[str, Json] = {"": {}}
        json_texts: dict[tuple[str, ...], None] = {}
        for data in map(decode_data, events):
            kind = self.find_kind(data)
            for rule in self.fold_rules:
                if "from" in rule and rule.get("on", kind) == kind:
                    for value, indices in _select(data, rule["from"].split("/")[1:], ()):
                        path = _fill_target(rule["to"], indices, data)
                        _apply(answer, path, value, rule.get("op", "set"))
                        if rule.get("op") == "json":
                            json_texts[path] = None
        for path in json_texts:
            holder, key = _open_holder(answer, path)
            if isinstance(holder[key], str):
                holder[key] = orjson.loads(holder[key] or "{}")
        self._set_defaults(answer[""])
        return answer[""]

    def _set_defaults(self, answer: Json) -> None:
        for rule in self.fold_rules:
            if "default" in rule:
                tokens = rule["to"].split("/")[1:]
                for holder, _ in _select(answer, tokens[:-1], ()):
                    if isinstance(holder, dict):
                        holder.setdefault(tokens[-1], rule["default"])


def decode_data(event: Event) -> Json:
    """Decode an event's data from JSON; return the text itself if it is not JSON."""
    try:
        return orjson.loads(event.data)
    except orjson.JSONDecodeError:
        return event.data


def _find_change(pointer: str, data: list[Json]) -> StreamProblem | None:
    seen = [value for item in data if (value := resolve_pointer(item, pointer, _ABSENT)) is not _ABSENT]
    other = next((value for value in seen if value != seen[0]), _ABSENT)
    if other is _ABSENT:
        return None
    return StreamProblem(pointer, f"constant {pointer}", "one value in all events", f"{seen[0]!r}, then {other!r}")


def _list_marks(schema: Json, path: str = "") -> Iterator[str]:
    """Yield the members and constants that a schema requires."""
    if "const" in schema:
        yield f"{path} {schema['const']}".strip()
    parts = schema.get("properties", {})
    for name in schema.get("required", ()):
        below = f"{path}.{name}".strip(".")
        marks = list(_list_marks(parts.get(name, {}), below))
        yield from marks or (below,)


def _select(value: Json, tokens: list[str], indices: tuple[str, ...]) -> Iterator[tuple[Json, tuple[str, ...]]]:
    """Yield the values that the tokens lead to, each with the index that every `*` stands for."""
    if not tokens:
        yield value, indices
    elif tokens[0] == "*" and isinstance(value, list):
        for position, item in enumerate(value):
            yield from _select(item, tokens[1:], (*indices, _read_index(item, position)))
    elif isinstance(value, dict) and tokens[0] in value:
        yield from _select(value[tokens[0]], tokens[1:], indices)
    elif isinstance(value, list) and tokens[0].isdecimal() and int(tokens[0]) < len(value):
        yield from _select(value[int(tokens[0])], tokens[1:], indices)


def _read_index(item: Json, position: int) -> str:
    index = item.get("index", position) if isinstance(item, dict) else position
    if type(index) is not int or not 0 <= index <= _MAX_INDEX:
        raise ValueError(f"{index!r} is not an index")
    return str(index)


def _fill_target(pointer: str, indices: tuple[str, ...], data: Json) -> tuple[str, ...]:
    """Return the path of a rule's target: `*` becomes an index, `{pointer}` a value of the event."""
    rest = iter(indices)
    text = _PLACEHOLDER.sub(lambda match: str(resolve_pointer(data, match[1], "0")), pointer)
    return ("", *(next(rest, "0") if token == "*" else token for token in text.split("/")[1:]))


def _open_holder(answer: Json, path: tuple[str, ...]) -> tuple[Json, Any]:
    """Return the container that a path's last step refers to and that step's key. Create what is missing."""
    here, key = answer, _open_key(answer, path[0])
    for token in path[1:]:
        child = here[key]
        if not isinstance(child, dict | list):
            child = here[key] = [] if token.isdecimal() else {}
        elif not child and isinstance(child, dict) and token.isdecimal():
            child = here[key] = []
        here, key = child, _open_key(child, token)
    return here, key


def _open_key(container: Json, token: str) -> Any:
    if isinstance(container, list):
        if not token.isdecimal() or int(token) > _MAX_INDEX:
            raise ValueError(f"{token!r} is not a list index")
        while len(container) <= int(token):
            container.append(None)
        return int(token)
    container.setdefault(token, None)
    return token


def _apply(answer: Json, path: tuple[str, ...], value: Json, operation: str) -> None:
    if value is None and operation != "set":
        return
    holder, key = _open_holder(answer, path)
    old = holder[key]
    if operation == "set":
        # null never replaces a value
        holder[key] = old if value is None and old not in (None, {}) else _copy(value)
    elif operation == "join":
        holder[key] = _join_parts(old or [], value)
    elif isinstance(value, str):
        holder[key] = (old if isinstance(old, str) else "") + value
    else:
        raise ValueError(f"{'/'.join(path)}: {value!r} is not text to append")


def _copy(value: Json) -> Json:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value


def _join_parts(parts: Json, more: Json) -> list[Json]:
    """Append parts to parts; merge the texts of neighbours that differ in nothing else."""
    if not isinstance(more, list) or not isinstance(parts, list) or not all(isinstance(part, dict) for part in more):
        raise ValueError(f"{more!r} is not a list of parts")
    for part in more:
        last = parts[-1] if parts else {}
        texts = isinstance(last.get("text"), str) and isinstance(part.get("text"), str)
        if texts and {**last, "text": ""} == {**part, "text": ""}:
            parts[-1] = {**last, "text": last["text"] + part["text"]}
        else:
            parts.append(_copy(part))
    return parts
