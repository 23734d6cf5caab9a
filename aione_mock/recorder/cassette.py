"""Cassettes: recorded exchanges as YAML that people can read and that yields the same bytes again.

A file is one document: metadata, then `interactions`, to which each exchange is appended when it has ended. A body is
written as YAML only if serializing it again yields the bytes received; otherwise as text, or else as base64.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from aione_mock.errors import ConfigError
from aione_mock.recorder.json_style import STYLES, read_event, read_json
from aione_mock.text import sse
from aione_mock.text.credentials import CredentialMask, fill_with_letters
from aione_mock.text.data_files import YamlModel, describe_errors, load_yaml
from aione_mock.types import Headers, Json

_FORMAT = 1
_COMMENT = """\
# yaml-language-server: $schema=cassette.schema.json
# Recorded by aione-mock; `aione-mock cassette show` gives an overview.
# `aione-mock config schema --of cassette` prints the schema for editors.
"""
_MAX_YAML_BYTES = 256 << 10
"""Larger bodies and streams are written as text: nobody reads so much YAML, and parsing it takes seconds."""
_LEVELS = ("value", "text", "base64")
"""Ways to write a body, the most readable first."""
_INTERACTION_START = "\n- request:"
"""Start of an interaction; nothing else has it at the beginning of a line."""


HEADER_CONTROLS = re.compile(r"[\0-\x08\n-\x1f\x7f]")
"""Control characters that no header may have when it is sent; what was recorded keeps them."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header (RFC 9110, section 5.6.2)."""
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _check_header_names(headers: Headers) -> Headers:
    for name, _ in headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
    return headers


def _group_headers(value: Json) -> Json:
    """Return pairs, those of the same name next to each other, of pairs or of a file's mapping."""
    if isinstance(value, dict):
        items = [(name, item if isinstance(item, list) else [item]) for name, item in value.items()]
        value = [(str(name).lower(), str(item)) for name, values in items for item in values]
    groups: dict[str, list[str]] = {}
    for name, item in value or ():
        groups.setdefault(name, []).append(item)
    return tuple([(name, item) for name, items in groups.items() for item in items])


class RecordedMessage(YamlModel):
    """What requests and responses have in common."""

    headers: Annotated[
        tuple[tuple[str, str], ...], BeforeValidator(_group_headers), AfterValidator(_check_header_names)
    ] = ()
    """Names in lower case."""
    body: bytes = b""
    """In a file one of `body` (JSON, with its `style`), `text` and `base64`."""

    @model_validator(mode="before")
    @classmethod
    def _decode_body(cls, data: Json) -> Json:
        if not isinstance(data, dict) or isinstance(data.get("body"), bytes):
            return data
        forms = {name: data[name] for name in ("body", "style", "text", "base64") if name in data}
        body = _apply_style(forms["body"], forms) if "body" in forms else _decode_text("text", forms)
        return {**{name: value for name, value in data.items() if name not in forms}, "body": body}

    def find_header(self, name: str) -> str | None:
        """Return the first value of a header by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class RecordedRequest(RecordedMessage):
    """A request, with credentials masked."""

    operation: str | None = None
    """operationId; None for a path that the contract lacks."""
    method: str
    path: str
    query: str = ""


class RecordedEvent(YamlModel):
    """Bytes of an event stream, usually one event."""

    at: Seconds
    """Seconds after the request."""
    raw: bytes
    """In a file one of `data` (JSON or text, with the event's `name`), `raw` (text) and `base64`."""

    @model_validator(mode="before")
    @classmethod
    def _decode_raw(cls, data: Json) -> Json:
        if not isinstance(data, dict) or isinstance(data.get("raw"), bytes):
            return data
        if "data" not in data:
            return {"at": data.get("at"), "raw": _decode_text("raw", data)}
        value = data["data"]
        encoded = _apply_style(value, data) if isinstance(value, dict | list) else str(value).encode()
        return {
            "at": data.get("at"),
            "raw": sse.encode(encoded, str(data["name"]).encode() if "name" in data else None),
        }


class RecordedResponse(RecordedMessage):
    """A response."""

    status: int = Field(ge=200, le=999)
    events: tuple[RecordedEvent, ...] | None = None
    """The events of a stream, which has no `body`; None for a plain response."""
    end: Literal["finish", "cut"] = "finish"
    """`cut` if the response ended before it was complete."""
    from_proxy: bool = False
    """Whether it is the proxy's own error, because the gateway gave no answer or the request could not be forwarded."""

    @property
    def content(self) -> bytes:
        """The body, or the bytes of all events."""
        return self.body if self.events is None else b"".join([event.raw for event in self.events])

    def describe_size(self) -> str:
        """Return `12 events` or `345 bytes`."""
        return f"{len(self.body)} bytes" if self.events is None else f"{len(self.events)} events"

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return (self.find_header("content-type") or "").partition(";")[0].strip().lower()


class RecordedTiming(YamlModel):
    """When a response arrived, in seconds after the request."""

    first: Seconds = 0.0
    """The first byte."""
    total: Seconds = 0.0
    """The end."""


class RecordedScenario(YamlModel):
    """What the proxy did to an exchange. The recorded response is as it was before."""

    rule: str
    """Id of the rule; `header` for the request header, `pace` for the pace of the proxy."""
    played: str
    """What was done, such as `cut+stall` or `rate_limit_exceeded`."""
    answered: bool = False
    """Whether the proxy answered itself: the response is its own, and the gateway was not asked."""

    def describe(self) -> str:
        """Return `answered rate_limit_exceeded (rule 'busy')` or `changed by cut (rule 'busy')`."""
        return f"{'answered' if self.answered else 'changed by'} {self.played} (rule '{self.rule}')"


class Interaction(YamlModel):
    """One exchange, with the violations of the contract that were found in it."""

    request: RecordedRequest
    response: RecordedResponse
    scenario: RecordedScenario | None = None
    findings: tuple[str, ...] = ()
    timing: RecordedTiming = RecordedTiming()


class Cassette(YamlModel):
    """The content of a file."""

    cassette: Literal[1]
    """Version of the format."""
    upstream: str = ""
    """Base URL of the recorded gateway."""
    started: str = ""
    """When the recording started: ISO 8601."""
    redacted: bool = False
    """Whether contents were replaced by placeholders."""
    interactions: tuple[Interaction, ...] = ()
    path: Path
    """The file, set by `load_cassette`."""
    torn: bool = False
    """Whether writing was interrupted; the incomplete last interaction is left out."""


# --- writing


class CassetteWriter:
    """Write a cassette. Every interaction is on disk as soon as it is added."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, upstream: str, *, redacted: bool = False, started: str = "") -> CassetteWriter:
        """Create an empty cassette. Raises ConfigError when the file exists or cannot be written."""
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(dump_head(upstream, redacted=redacted, started=started))
        except FileExistsError:
            raise ConfigError(f"'{path}' exists already; delete it, or choose another --out") from None
        except OSError as error:
            raise ConfigError(f"cannot write the cassette '{path}': {error.strerror or error}") from None
        return cls(path)

    def add(self, interaction: Interaction) -> None:
        """Append an interaction. Raises OSError."""
        self.append(dump_interaction(interaction))

    def append(self, text: str) -> None:
        """Append a dumped interaction. Raises OSError, and then leaves the file as it was: a disk may be full."""
        with self.path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(text.encode())
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                file.truncate(size)
                raise

    def mask(self, secrets: Iterable[str]) -> None:
        """Mask credentials in what was written before they were known to be some. Raises OSError.

        They are overwritten in place, which works on a full disk too.
        """
        mask = CredentialMask(secrets, fill_with_letters, forms=False)
        # in Latin-1 each byte is a character
        spans = mask.find(self.path.read_bytes().decode("latin-1"))
        with self.path.open("r+b") as file:
            for span in spans:
                file.seek(span.start)
                file.write(fill_with_letters(span).encode())


def dump_head(upstream: str, *, redacted: bool = False, started: str = "") -> str:
    """Return the beginning of a cassette, which dumped interactions follow."""
    head = {"cassette": _FORMAT, "upstream": upstream, "started": started, "redacted": redacted}
    return f"{_COMMENT}{_dump_yaml(head)}interactions:\n"


def dump_interaction(interaction: Interaction) -> str:
    """Return an interaction as a YAML item from which exactly the same is read."""
    events = interaction.response.events or ()
    large = sum([len(event.raw) for event in events]) > _MAX_YAML_BYTES
    for level in _LEVELS[large:-1]:
        # a value may be nested too deeply, and text may contain what YAML cannot represent
        with contextlib.suppress(yaml.YAMLError, RecursionError, ValueError):
            text = _dump_yaml([_encode_interaction(interaction, level)])
            if Interaction.model_validate(yaml.load(text, Loader=yaml.CSafeLoader)[0]) == interaction:
                return text
    return _dump_yaml([_encode_interaction(interaction, _LEVELS[-1])])


def _encode_interaction(interaction: Interaction, level: str) -> Json:
    request, response, timing = interaction.request, interaction.response, interaction.timing
    scenario = interaction.scenario
    answer: dict[str, Json] = {"status": response.status, "headers": _encode_headers(response.headers)}
    if response.end != "finish":
        answer["end"] = response.end
    if response.from_proxy:
        answer["from_proxy"] = True
    if response.events is None:
        answer |= _encode_body(response.body, level)
    else:
        answer["events"] = [_FlowMapping({"at": e.at, **_encode_event(e.raw, level)}) for e in response.events]
    return {
        "request": {
            **{name: getattr(request, name) for name in ("operation", "method", "path", "query")},
            "headers": _encode_headers(request.headers),
            **_encode_body(request.body, level),
        },
        "response": answer,
        **({"scenario": scenario.model_dump()} if scenario else {}),
        "findings": list(interaction.findings),
        # last, and in braces, so that an interrupted write is not taken for a complete one
        "timing": _FlowMapping({"first": timing.first, "total": timing.total}),
    }


def _encode_headers(headers: Headers) -> Json:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _encode_body(raw: bytes, level: str) -> dict[str, Json]:
    if not raw:
        return {}
    if level == "value" and len(raw) <= _MAX_YAML_BYTES and (found := read_json(raw)):
        return _encode_json("body", *found)
    return _encode_text("text", raw, level)


def _encode_event(raw: bytes, level: str) -> dict[str, Json]:
    event = read_event(raw)
    if event is None or level == "base64":
        return _encode_text("raw", raw, level)
    name, data = event
    named: dict[str, Json] = {"name": name} if name else {}
    if level == "value" and (found := read_json(data.encode())):
        return named | _encode_json("data", *found)
    return {**named, "data": data}


def _encode_json(name: str, value: Json, style: str) -> dict[str, Json]:
    return {name: value} if style == "compact" else {name: value, "style": style}


def _encode_text(name: str, raw: bytes, level: str) -> dict[str, Json]:
    if level != "base64":
        with contextlib.suppress(UnicodeDecodeError):
            return {name: raw.decode()}
    return {"base64": base64.b64encode(raw).decode()}


class _FlowMapping(dict[str, Json]):
    """A mapping that is written on one line."""


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_flow(dumper: _Dumper, value: _FlowMapping) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)


def _represent_text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(_FlowMapping, _represent_flow)
_Dumper.add_representer(str, _represent_text)


def _dump_yaml(value: Json) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30)
    # the end of the document, written after text that ends with empty lines; more interactions follow
    return text.removesuffix("...\n")


# --- reading


def load_cassette(path: Path) -> Cassette:
    """Read a cassette, an interrupted one up to its last complete interaction.

    Raises ConfigError that names the file, the line and the field that cannot be read.
    """
    text, torn = _read_text(path), False
    try:
        _, document = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        text, torn = _drop_last(path, text, error), True
        _, document = load_yaml(text)
    if not isinstance(document, dict) or document.get("cassette") != _FORMAT:
        raise ConfigError(f"'{path}' is no cassette of this version: it does not begin with `cassette: {_FORMAT}`")
    items = document.get("interactions") or []
    if isinstance(items, list) and items and not _is_complete(items[-1]):
        torn, items = True, items[:-1]
    try:
        return Cassette.model_validate({**document, "interactions": items, "path": path, "torn": torn})
    except ValidationError as error:
        raise ConfigError(describe_errors(path, text, error, Cassette)[0]) from None


def _is_complete(item: Json) -> bool:
    return isinstance(item, dict) and isinstance(item.get("timing"), dict)


def _read_text(path: Path) -> str:
    try:
        if path.is_char_device():  # some have no end
            raise ConfigError(f"'{path}' is a device, not a cassette")
        # an interrupted write may end inside a character, which is then left out
        return codecs.getincrementaldecoder("utf-8")().decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the cassette '{path}': {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the cassette '{path}' is not UTF-8 text") from None


def _drop_last(path: Path, text: str, error: Exception) -> str:
    """Return a text that is not YAML without its last interaction. Raises ConfigError if that is not YAML either."""
    mark = getattr(error, "problem_mark", None)
    complete, separator, _ = text.rpartition(_INTERACTION_START)
    with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
        if separator:
            load_yaml(complete + "\n")
            return complete + "\n"
    line = f":{mark.line + 1}" if mark else ""
    raise ConfigError(f"{path}{line}: the cassette is not YAML: {getattr(error, 'problem', None) or error}") from None


def _decode_text(name: str, data: dict[str, Json]) -> bytes:
    return str(data[name]).encode() if name in data else _decode_base64(data.get("base64") or "")


def _decode_base64(text: Json) -> bytes:
    return base64.b64decode("".join(str(text).split()), validate=True)


def _apply_style(value: Json, data: dict[str, Json]) -> bytes:
    style = data.get("style", "compact")
    if style not in STYLES:
        raise ValueError(f"unknown style '{style}'; known: {', '.join(STYLES)}")
    try:
        return STYLES[style](value)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the value cannot be written as JSON: {error}") from None
