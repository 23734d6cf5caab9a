"""The order in which a stream's events come and how they add up: `x-stream` in the contract.

`Grammar` is read by the mock's own tests, the checker, the fault alphabet and the recording proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs
import orjson

from aione_mock.errors import ContractError
from aione_mock.sse import Event
from aione_mock.structs import frozen
from aione_mock.types import Json

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\S")
_MISSING: Any = object()
_ABSENT: Any = object()
"""As a default of `pointer_get`: tells a value that is not there from one that is null."""
_LARGEST = 100_000
"""The highest index believed: a wrong one must not cost memory."""
_OPS = ("set", "append", "json", "join")


def pointer_get(value: Json, pointer: str, default: Json = _MISSING) -> Json:
    """The value at a JSON pointer (RFC 6901); `default`, or KeyError, where there is none."""
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        elif default is _MISSING:
            raise KeyError(pointer)
        else:
            return default
    return value


@frozen
class Order:
    """Names the kind of each item and says which sequences of kinds are right."""

    text: str
    pattern: re.Pattern[str]
    pointer: str | None
    kinds: tuple[tuple[str, jsonschema_rs.Draft202012Validator], ...]

    @classmethod
    def of(cls, spec: Mapping[str, Json], where: str) -> Order:
        """Read `kind` or `kinds`, and `order`. Raises ContractError."""
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
        return cls(text, pattern, pointer, kinds)

    def kind(self, item: Json) -> str:
        """The kind of one item; `unknown` when no schema takes it."""
        if self.pointer is not None:
            return str(pointer_get(item, self.pointer, "unknown")) if isinstance(item, dict | list) else "unknown"
        return next((name for name, schema in self.kinds if schema.is_valid(item)), "unknown")

    def finding(self, kinds: Sequence[str]) -> str | None:
        """What is wrong with a sequence of kinds, or None."""
        if self.pattern.fullmatch("".join(kind + " " for kind in kinds)):
            return None
        shown = " ".join(kinds) if len(kinds) < 14 else f"{' '.join(kinds[:8])} … {' '.join(kinds[-4:])}"
        return f"events come as '{shown}', not as '{self.text}'"


@frozen
class Each:
    """The law for the sub-sequences of one choice or one block."""

    items: str | None
    key: str
    order: Order

    def sequences(self, data: Iterable[Json]) -> dict[Json, list[str]]:
        """The kinds of all items, by what they belong to."""
        found: dict[Json, list[str]] = {}
        for value in data:
            items = [value] if self.items is None else pointer_get(value, self.items, [])
            for item in items if isinstance(items, list) else []:
                key = pointer_get(item, self.key, None)
                if key is not None and not isinstance(key, list | dict):
                    found.setdefault(key, []).append(self.order.kind(item))
        return found


@frozen
class Grammar:
    """One operation's `x-stream`."""

    order: Order
    each: Each | None
    anywhere: frozenset[str]
    constant: tuple[str, ...]
    fold_rules: tuple[Mapping[str, Json], ...]
    spec: Mapping[str, Json]

    @classmethod
    def of(cls, spec: Mapping[str, Json], where: str = "x-stream") -> Grammar:
        """Read the extension. Raises ContractError that names the place."""
        for rule in spec.get("fold", ()):
            if rule.get("op", "set") not in _OPS:
                raise ContractError(f"{where}/fold: unknown op '{rule.get('op')}'; known: {', '.join(_OPS)}")
        each = spec.get("each")
        return cls(
            Order.of(spec, where),
            Each(each.get("items"), each["key"], Order.of(each, f"{where}/each")) if each else None,
            frozenset(spec.get("anywhere", ())),
            tuple(spec.get("constant", ())),
            tuple(spec.get("fold", ())),
            spec,
        )

    def kind_of(self, data: Json) -> str:
        """The kind of one event's decoded data."""
        return self.order.kind(data)

    def findings(self, events: Iterable[Event]) -> list[str]:
        """Everything that is wrong with a whole stream, in words."""
        data = [read(event) for event in events]
        kinds = [kind for kind in map(self.kind_of, data) if kind not in self.anywhere]
        found = [self.order.finding(kinds)]
        if self.each:
            for key, sequence in self.each.sequences(data).items():
                problem = self.each.order.finding(sequence)
                found.append(problem and f"item {key}: {problem}")
        found += [self._constant(pointer, data) for pointer in self.constant]
        return [problem for problem in found if problem]

    def _constant(self, pointer: str, data: list[Json]) -> str | None:
        seen = [value for item in data if (value := pointer_get(item, pointer, _ABSENT)) is not _ABSENT]
        other = next((value for value in seen if value != seen[0]), _ABSENT)
        return None if other is _ABSENT else f"{pointer} changes from {seen[0]!r} to {other!r}"

    def fold(self, events: Iterable[Event]) -> Json:
        """The plain answer that the events add up to. Raises ValueError for events that cannot add up."""
        answer: dict[str, Json] = {"": {}}
        parse: dict[tuple[str, ...], None] = {}
        for data in map(read, events):
            kind = self.kind_of(data)
            for rule in self.fold_rules:
                if "from" in rule and rule.get("on", kind) == kind:
                    for value, found in _select(data, rule["from"].split("/")[1:], ()):
                        path = _target(rule["to"], found, data)
                        _apply(answer, path, value, rule.get("op", "set"))
                        if rule.get("op") == "json":
                            parse[path] = None
        for path in parse:
            holder, token = _holder(answer, path)
            text = holder[token]
            holder[token] = orjson.loads(text or "{}") if isinstance(text, str) else text
        self._defaults(answer[""])
        return answer[""]

    def _defaults(self, answer: Json) -> None:
        for rule in self.fold_rules:
            if "default" in rule:
                tokens = rule["to"].split("/")[1:]
                for holder, _ in _select(answer, tokens[:-1], ()):  # in every place that the answer has
                    if isinstance(holder, dict):
                        holder.setdefault(tokens[-1], rule["default"])


def read(event: Event) -> Json:
    """An event's data as JSON, or the text itself where it is none."""
    try:
        return orjson.loads(event.data)
    except orjson.JSONDecodeError:
        return event.data


def _select(value: Json, tokens: list[str], indices: tuple[str, ...]) -> Iterator[tuple[Json, tuple[str, ...]]]:
    """(value, index of each `*`) of all places that the tokens reach."""
    if not tokens:
        yield value, indices
    elif tokens[0] == "*" and isinstance(value, list):
        for position, item in enumerate(value):
            yield from _select(item, tokens[1:], (*indices, _index(item, position)))
    elif isinstance(value, dict) and tokens[0] in value:
        yield from _select(value[tokens[0]], tokens[1:], indices)
    elif isinstance(value, list) and tokens[0].isdecimal() and int(tokens[0]) < len(value):
        yield from _select(value[int(tokens[0])], tokens[1:], indices)


def _index(item: Json, position: int) -> str:
    index = item.get("index", position) if isinstance(item, dict) else position
    if type(index) is not int or not 0 <= index <= _LARGEST:
        raise ValueError(f"{index!r} is no index")
    return str(index)


def _target(pointer: str, indices: tuple[str, ...], data: Json) -> tuple[str, ...]:
    rest = iter(indices)
    text = re.sub(r"\{(.*?)\}", lambda m: str(pointer_get(data, m.group(1), "0")), pointer)
    return ("", *(next(rest, "0") if token == "*" else token for token in text.split("/")[1:]))


def _holder(answer: Json, path: tuple[str, ...]) -> tuple[Json, Any]:
    """The container of a path's last step, made on the way, and the step as its key."""
    here, key = answer, _key(answer, path[0])
    for token in path[1:]:
        child = here[key]
        if not isinstance(child, dict | list):
            child = here[key] = [] if token.isdecimal() else {}
        elif not child and isinstance(child, dict) and token.isdecimal():
            child = here[key] = []
        here, key = child, _key(child, token)
    return here, key


def _key(container: Json, token: str) -> Any:
    if isinstance(container, list):
        if not token.isdecimal() or int(token) > _LARGEST:
            raise ValueError(f"{token!r} is no place in a list")
        while len(container) <= int(token):
            container.append(None)
        return int(token)
    container.setdefault(token, None)
    return token


def _apply(answer: Json, path: tuple[str, ...], value: Json, op: str) -> None:
    if value is None and op != "set":
        return
    holder, key = _holder(answer, path)
    old = holder[key]
    if op == "set":
        holder[key] = old if value is None and old not in (None, {}) else _fresh(value)
    elif op == "join":
        holder[key] = _joined(old or [], value)
    elif isinstance(value, str):
        holder[key] = (old if isinstance(old, str) else "") + value
    else:
        raise ValueError(f"{'/'.join(path)}: {value!r} is no text to append")


def _fresh(value: Json) -> Json:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value


def _joined(parts: Json, more: Json) -> list[Json]:
    """Parts after parts; adjacent text of one sort runs together."""
    if not isinstance(more, list) or not isinstance(parts, list) or not all(isinstance(part, dict) for part in more):
        raise ValueError(f"{more!r} is no list of parts")
    for part in more:
        last = parts[-1] if parts else {}
        texts = isinstance(last.get("text"), str) and isinstance(part.get("text"), str)
        if texts and {**last, "text": ""} == {**part, "text": ""}:
            parts[-1] = {**last, "text": last["text"] + part["text"]}
        else:
            parts.append(_fresh(part))
    return parts
