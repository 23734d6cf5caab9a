"""The JSON Schema of cassettes as files have them, for editors."""

from __future__ import annotations

from pydantic import BaseModel

from aione_mock.recorder.cassette import Cassette, Interaction, RecordedEvent, RecordedRequest, RecordedResponse
from aione_mock.recorder.json_style import STYLES
from aione_mock.tenant.configuration_schema import read_docstrings
from aione_mock.types import Json

_TEXT: Json = {"type": "string", "description": "Text, where it is not JSON."}
_BASE64: Json = {"type": "string", "description": "Bytes that are not text, in base64."}
_STYLE: Json = {"enum": list(STYLES), "description": "How the JSON was written; `compact` if it is absent."}
_HEADERS: Json = {
    "type": "object",
    "description": "Names in lower case; a list where a name comes several times.",
    "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
}
_BODY: Json = {"body": {"description": "JSON."}, "style": _STYLE, "text": _TEXT, "base64": _BASE64}
_EVENT: Json = {
    "name": {"type": "string", "description": "The name of the event."},
    "data": {"description": "JSON or text of the event."},
    "style": _STYLE,
    "raw": {"type": "string", "description": "The bytes of the event as text."},
    "base64": _BASE64,
}
_IN_FILES: dict[type[BaseModel], tuple[tuple[str, ...], Json]] = {
    RecordedRequest: (("body", "headers"), {"headers": _HEADERS, **_BODY}),
    RecordedResponse: (("body", "headers"), {"headers": _HEADERS, **_BODY}),
    RecordedEvent: (("raw",), _EVENT),
}
"""Model → members that files have in another form, and that form."""
_NOT_IN_FILES = ("path", "torn")


def make_cassette_schema() -> Json:
    """Return the schema."""
    schema = Cassette.model_json_schema()
    definitions = schema.pop("$defs")
    _describe_members(Cassette, schema)
    described: tuple[type[BaseModel], ...] = (Interaction, *_IN_FILES)
    for model in described:
        _describe_members(model, definitions[model.__name__])
    for model, (removed, added) in _IN_FILES.items():
        _replace_members(definitions[model.__name__], removed, added)
    _replace_members(schema, _NOT_IN_FILES, {})
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**dialect, **schema, "title": "Cassette of aione-mock", "$defs": definitions}


def _describe_members(model: type[BaseModel], schema: Json) -> None:
    for name, text in read_docstrings(model).items():
        if name in schema["properties"]:
            schema["properties"][name].setdefault("description", text)


def _replace_members(schema: Json, removed: tuple[str, ...], added: Json) -> None:
    kept = {name: value for name, value in schema["properties"].items() if name not in removed}
    schema["properties"] = kept | added
    schema["required"] = [name for name in schema.get("required", ()) if name in schema["properties"]]
    if "raw" in removed:
        schema["required"] = [name for name in schema["required"] if name != "raw"]
