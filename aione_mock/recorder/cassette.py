"""Cassettes: recorded exchanges as YAML that people can read, and that gives the same bytes back.

One document a file: what it is, then `interactions`, to which each exchange is added when it is over. A value stands
as YAML only where spelling it again gives the bytes that came; otherwise the text itself is kept, or base64.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from aione_mock import sse
from aione_mock.errors import ConfigError
from aione_mock.recorder.json_style import STYLES, read_event, read_json
from aione_mock.types import Headers, Json

FORMAT = 1
_READABLE = 256 << 10
"""Bytes of a body, above which it is kept as text: nobody reads so much YAML, and it takes seconds to parse."""
_LEVELS = ("value", "text", "base64")
"""How a body may be spelled, the most readable first."""
_START = "\n- request:"
"""How an interaction begins; nothing else stands at the beginning of a line."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was recorded: credentials masked."""

    operation: str | None
    method: str
    path: str
    query: str = ""
    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it was recorded. `end` is `cut` when it never became whole."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    events: tuple[tuple[float, bytes], ...] | None = None
    """Of an event stream: (seconds after the request, bytes), joined the whole body; None for a plain answer."""
    end: Literal["finish", "cut"] = "finish"

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return (header(self.headers, "content-type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Interaction:
    """One exchange: what was asked, what came, when (seconds), and what was wrong with it."""

    request: Asked
    response: Answered
    first: float = 0.0
    total: float = 0.0
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cassette:
    """A file of interactions. `torn` tells that its last one was not written to the end and is left out."""

    path: Path
    interactions: tuple[Interaction, ...]
    upstream: str = ""
    redacted: bool = False
    torn: bool = False


def header(headers: Headers, name: str) -> str | None:
    """The first value of a header, by its lower-case name."""
    return next((value for key, value in headers if key == name), None)


def grouped(headers: Headers) -> Headers:
    """Headers with those of one name side by side, as a cassette keeps them."""
    names = dict.fromkeys(name for name, _ in headers)
    return tuple([(name, value) for name in names for key, value in headers if key == name])


# --- writing


class Recording:
    """A cassette that is being written. Every interaction is on disk as soon as it is added."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, upstream: str, *, redacted: bool = False, started: str = "") -> Recording:
        """A new, empty cassette. Raises ConfigError when the file is there already or cannot be written."""
        head = {"cassette": FORMAT, "upstream": upstream, "started": started, "redacted": redacted}
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write("# Recorded by aione-mock; `aione-mock cassette show` gives an overview.\n")
                file.write(_dump(head) + "interactions:\n")
        except FileExistsError:
            raise ConfigError(f"'{path}' is there already; delete it, or choose another --out") from None
        except OSError as error:
            raise ConfigError(f"cannot write the cassette '{path}': {error.strerror or error}") from None
        return cls(path)

    def add(self, interaction: Interaction) -> None:
        """Append an interaction. Raises OSError."""
        text = spell(interaction).encode()
        with self.path.open("ab") as file:
            file.write(text)

    def scrub(self, secret: str, mask: str) -> bool:
        """Mask what turns out to be a credential after it was written; whether it occurred. Raises OSError."""
        text = self.path.read_bytes()
        if secret.encode() not in text:
            return False
        part = self.path.with_name(self.path.name + ".part")
        part.write_bytes(text.replace(secret.encode(), mask.encode()))
        part.replace(self.path)
        return True


def spell(interaction: Interaction) -> str:
    """An interaction as an item of YAML that reads back as exactly the same."""
    for level in _LEVELS[:-1]:
        # a value may be nested too deeply, and a text hold what YAML has no spelling for
        with contextlib.suppress(yaml.YAMLError, RecursionError, ValueError):
            text = _dump([_item(interaction, level)])
            if _interaction(yaml.load(text, Loader=yaml.CSafeLoader)[0]) == interaction:
                return text
    return _dump([_item(interaction, _LEVELS[-1])])


def _item(interaction: Interaction, level: str) -> Json:
    asked, answered = interaction.request, interaction.response
    request = {"operation": asked.operation, "method": asked.method, "path": asked.path, "query": asked.query}
    response: dict[str, Json] = {"status": answered.status, "headers": _spelt_headers(answered.headers)}
    if answered.end != "finish":
        response["end"] = answered.end
    if answered.events is None:
        response |= _spelt_body(answered.body, level)
    else:
        response["events"] = [_Line({"at": at, **_spelt_event(raw, level)}) for at, raw in answered.events]
    return {
        "request": {**request, "headers": _spelt_headers(asked.headers), **_spelt_body(asked.body, level)},
        "response": response,
        "findings": list(interaction.findings),
        # the last, and in brackets: cut short, it cannot be taken for whole
        "timing": _Line({"first": interaction.first, "total": interaction.total}),
    }


def _spelt_headers(headers: Headers) -> Json:
    names = dict.fromkeys(name for name, _ in headers)
    values = {name: [value for key, value in headers if key == name] for name in names}
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _spelt_body(raw: bytes, level: str) -> dict[str, Json]:
    if not raw:
        return {}
    if level == "value" and len(raw) <= _READABLE and (found := read_json(raw)):
        value, style = found
        return {"body": value} if style == "compact" else {"body": value, "style": style}
    return _spelt_text(raw, level, "text")


def _spelt_text(raw: bytes, level: str, name: str) -> dict[str, Json]:
    if level != "base64":
        try:
            return {name: raw.decode()}
        except UnicodeDecodeError:
            pass
    return {"base64": base64.b64encode(raw).decode()}


def _spelt_event(raw: bytes, level: str) -> dict[str, Json]:
    found = read_event(raw)
    if found is None or level == "base64":
        return _spelt_text(raw, level, "raw")
    name, data = found
    named: dict[str, Json] = {"name": name} if name else {}
    if level == "value" and (value := read_json(data.encode())):
        return {**named, "data": value[0]} | ({} if value[1] == "compact" else {"style": value[1]})
    return {**named, "data": data}


class _Line(dict[str, Json]):
    """A mapping that is written on one line."""


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _line(dumper: _Dumper, value: _Line) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(_Line, _line)
_Dumper.add_representer(str, _text)


def _dump(value: Json) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30)
    return text


# --- reading


def load(path: Path) -> Cassette:
    """Read a cassette, an interrupted one up to its last whole interaction.

    Raises ConfigError that names the file and the interaction that cannot be read.
    """
    text = _read(path)
    try:
        torn, document = False, yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        torn, document = True, _without_last(path, text, error)
    if not isinstance(document, dict) or document.get("cassette") != FORMAT:
        raise ConfigError(f"'{path}' is no cassette of this version: it does not begin with `cassette: {FORMAT}`")
    items = document.get("interactions") or []
    if not isinstance(items, list):
        raise ConfigError(f"cassette '{path}': `interactions` is no list")
    if items and not (isinstance(items[-1], dict) and isinstance(items[-1].get("timing"), dict)):
        torn, items = True, items[:-1]
    upstream, redacted = str(document.get("upstream") or ""), document.get("redacted") is True
    return Cassette(path, tuple(_numbered(path, items)), upstream, redacted, torn)


def _read(path: Path) -> str:
    try:
        # an interrupted write may end within a letter, which is then left out
        return codecs.getincrementaldecoder("utf-8")().decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the cassette '{path}': {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the cassette '{path}' is not UTF-8 text") from None


def _without_last(path: Path, text: str, error: yaml.YAMLError) -> Json:
    mark = getattr(error, "problem_mark", None)
    where = f" line {mark.line + 1}:" if mark else ""
    whole, begins, _ = text.rpartition(_START)
    try:
        if begins:
            return yaml.load(whole + "\n", Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        pass
    raise ConfigError(f"cassette '{path}':{where} not YAML: {getattr(error, 'problem', None) or error}") from None


def _numbered(path: Path, items: list[Json]) -> Iterator[Interaction]:
    for number, item in enumerate(items, start=1):
        try:
            yield _interaction(item)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ConfigError(f"cassette '{path}', interaction {number}: {said}") from None


def _interaction(item: Json) -> Interaction:
    asked, answered, timing = item["request"], item["response"], item["timing"]
    operation = asked.get("operation")
    request = Asked(
        None if operation is None else str(operation),
        str(asked["method"]),
        str(asked["path"]),
        str(asked.get("query") or ""),
        _read_headers(asked.get("headers")),
        _read_body(asked),
    )
    events = answered.get("events")
    told = None if events is None else tuple((float(event["at"]), _read_event(event)) for event in events)
    body = _read_body(answered) if told is None else b"".join([raw for _, raw in told])
    end: Literal["finish", "cut"] = "cut" if answered.get("end") == "cut" else "finish"
    response = Answered(int(answered["status"]), _read_headers(answered.get("headers")), body, told, end)
    findings = tuple([str(finding) for finding in item.get("findings") or ()])
    return Interaction(request, response, float(timing["first"]), float(timing["total"]), findings)


def _read_headers(spelt: Json) -> Headers:
    pairs = [(name, value if isinstance(value, list) else [value]) for name, value in (spelt or {}).items()]
    return tuple([(str(name).lower(), str(value)) for name, values in pairs for value in values])


def _read_body(spelt: Json, text: str = "text") -> bytes:
    if "body" in spelt:
        return _styled(spelt["body"], spelt)
    if text in spelt:
        return str(spelt[text]).encode()
    return base64.b64decode(spelt.get("base64") or "")


def _read_event(spelt: Json) -> bytes:
    if "data" not in spelt:
        return _read_body(spelt, "raw")
    value = spelt["data"]
    data = _styled(value, spelt) if isinstance(value, dict | list) else str(value).encode()
    return sse.encode(data, str(spelt["name"]).encode() if "name" in spelt else None)


def _styled(value: Json, spelt: Json) -> bytes:
    style = spelt.get("style", "compact")
    if style not in STYLES:
        raise ValueError(f"unknown style '{style}'; known: {', '.join(STYLES)}")
    return STYLES[style](value)
