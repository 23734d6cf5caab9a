"""Answers in JSON: an instance of the wanted schema, or an object about the prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from aione_mock.contract.json_pointer import format_pointer
from aione_mock.contract.json_schema import SCHEMA_KEYWORDS, SCHEMA_LIST_KEYWORDS, SCHEMA_MAP_KEYWORDS, iter_subschemas
from aione_mock.errors import APIError, ContractError
from aione_mock.generator import generate, plan_schema
from aione_mock.generator.plan import resolve_reference
from aione_mock.generator.words import detect_language, pick_one, pick_word, usual_range
from aione_mock.model import argument_values, entities
from aione_mock.model.keywords import terms
from aione_mock.seed import Seed
from aione_mock.types import Json, Prompt

_SHAPE = {"type", "properties", "required", "additionalProperties", "items", "prefixItems", "enum", "const", "format"}
_PARTS = {"anyOf", "oneOf", "allOf", "$defs", "definitions", "$ref", "nullable", "minimum", "maximum", "multipleOf"}
_BOUNDS = {"exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "minItems", "maxItems"}
_BOUNDS |= {"uniqueItems", "minProperties", "maxProperties"}
_REMARKS = {"title", "description", "default", "example", "examples", "propertyOrdering", "$schema", "$id", "$comment"}
_REMARKS |= {"deprecated", "readOnly", "writeOnly", "discriminator"}
SUPPORTED = frozenset(_SHAPE | _PARTS | _BOUNDS | _REMARKS)
"""The keywords that a schema for an answer may use."""
_NEEDED = frozenset(["properties", "items", "prefixItems", "anyOf", "oneOf", "allOf"])
_DEEPEST = 64
_SNAKE = {"any_of": "anyOf", "one_of": "oneOf", "all_of": "allOf", "min_items": "minItems", "max_items": "maxItems"}
_SNAKE |= {"min_length": "minLength", "max_length": "maxLength", "min_properties": "minProperties"}
_SNAKE |= {"max_properties": "maxProperties", "property_ordering": "propertyOrdering", "unique_items": "uniqueItems"}
_SNAKE |= {
    "additional_properties": "additionalProperties",
    "prefix_items": "prefixItems",
    "defs": "$defs",
    "ref": "$ref",
}
_COUNTS = frozenset(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"))
_KEYS = re.compile(
    r"(?i)\b(?:keys?|fields?|propert(?:y|ies)|attributes?)\b[^\"'`\w]*(?:named|called|are|is|should be)?\s*[:：]?\s*"
    r"((?:[\"'`]?\w+[\"'`]?(?:\s*,\s*(?:and\s+)?|\s+and\s+)?)+)"
    r"|(?:字段|键|属性)(?:名)?(?:为|是|有|包括|包含)?[:：]?\s*((?:[\"“'`]?\w+[\"”'`]?[、，,和及]?)+)"
)
_NO_KEYS = frozenset(
    ["and", "the", "of", "in", "for", "with", "as", "to", "a", "an", "named", "called", "only", "about"]
)


def answer(prompt: Prompt, seed: Seed, today: date | None = None) -> str:
    """The JSON text of an answer: compact for a schema, in the schema's property order; indented for plain JSON.

    What the last user turn names stands in the properties that it fits. Raises APIError `invalid_request`
    where the schema has no instance.
    """
    text = next((turn.text for turn in reversed(prompt.turns) if turn.role == "user" and turn.text), "")
    found = entities.find(text, today)
    if prompt.format != "schema" or prompt.schema is None:
        return orjson.dumps(_about(found, seed), option=orjson.OPT_INDENT_2).decode()
    try:
        return orjson.dumps(argument_values.fill(normalise_google(prompt.schema), found, seed)).decode()
    except ContractError as problem:
        raise APIError("invalid_request", f"Invalid schema for the response: {problem}") from None


def _about(found: entities.Mentions, seed: Seed) -> Json:
    """An object with the keys that the text asks for; without any, a general one."""
    wanted = _asked_keys(found.text)
    if wanted:
        kinds = {key: {"type": "number" if usual_range(key) else "string"} for key in wanted}
        return argument_values.fill({"type": "object", "properties": kinds, "required": wanted}, found, seed)
    lang = detect_language(found.text)
    sentences = " ".join(dict.fromkeys(pick_word("sentence", lang, seed.child(at)) for at in range(2)))
    topic = found.of("quoted")
    keywords = list(dict.fromkeys(terms(found.text)))[:5] or [pick_word("tag", lang, seed)]
    subject = topic[0].value if topic else pick_one(keywords, seed, "subject")
    return {"subject": subject, "answer": sentences, "keywords": keywords}


def _asked_keys(text: str) -> list[str]:
    match = _KEYS.search(text)
    names = re.findall(r"[^\W\d]\w*", (match[1] or match[2] or "") if match else "")
    return list(dict.fromkeys(name for name in names if name.lower() not in _NO_KEYS))[:20]


def check(schema: Json, param: str) -> None:
    """Refuse a schema that answers cannot follow.

    Raises APIError `invalid_request`, whose message names the keyword and its JSON pointer, and `param` the parameter.
    """
    problem = _problem(normalise_google(schema))
    if problem:
        raise APIError("invalid_request", f"Invalid schema for '{param}': {problem}", fields={"param": param})


def _problem(schema: Json) -> str | None:
    try:
        raw = orjson.dumps(schema)
    except TypeError:
        return f"it is nested deeper than {_DEEPEST} levels or holds numbers beyond 64 bits."
    return _examined(raw)


@lru_cache(256)
def _examined(raw: bytes) -> str | None:
    """What is wrong with a schema; None if nothing is."""
    schema = orjson.loads(raw)
    if not isinstance(schema, dict):
        return "it must be an object."
    found = next(_unsupported(schema), None)
    if found:
        return found
    try:
        jsonschema_rs.meta.validate({k: v for k, v in schema.items() if k not in ("$schema", "$id")})
        plan = plan_schema(schema)
        plan.accepts(plan.root, None)
    except jsonschema_rs.ValidationError as error:
        where = "".join(f"/{part}" for part in error.instance_path)
        return f"{error.message} at '{where}'."
    except ContractError as error:
        return f"{error}."
    found = contradiction(schema)
    return f"{found}." if found else None


def contradiction(schema: Json) -> str | None:
    """Why a readable schema has no instance: the keywords of its innermost part that has none, and where that is."""
    if _has_instance(schema, schema):
        return None
    node: Json = schema
    path: tuple[str, ...] = ()
    while inner := next((c for c in _subschemas(node) if not _has_instance(c[1], schema)), None):
        node, path = inner[1], (*path, *inner[0])
    words = sorted(node.keys() - _REMARKS) if isinstance(node, Mapping) else []
    named = ", ".join(f"'{word}'" for word in words)
    return (
        f"no value satisfies {named} at '{format_pointer(path)}'"
        if named
        else f"nothing is allowed at '{format_pointer(path)}'"
    )


def _has_instance(node: Json, root: Json) -> bool:
    """Whether one is found from either of two seeds."""
    for number in range(2):
        with suppress(ContractError):
            generate(node, Seed.of(number), resolve=lambda reference: resolve_reference(root, reference))
            return True
    return False


def _subschemas(node: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    """The parts of a schema that an instance has to satisfy."""
    if isinstance(node, Mapping):
        needed = _NEEDED if node.get("minItems") else _NEEDED - {"items"}
        yield from (child for child in iter_subschemas(node) if child[0][0] in needed)


def _unsupported(schema: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each keyword outside the subset, with its JSON pointer."""
    todo: list[tuple[Json, tuple[str, ...], int]] = [(schema, (), 0)]
    while todo:
        node, path, depth = todo.pop()
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict):
            yield f"a schema must be an object or a boolean at '{format_pointer(path)}'."
            continue
        if depth > _DEEPEST:
            yield f"it is nested deeper than {_DEEPEST} levels."
        for key in node:
            if key not in SUPPORTED and not key.startswith("x-"):
                yield f"the keyword '{key}' at '{format_pointer((*path, key))}' is not supported."
        try:
            resolve_reference(schema, str(node.get("$ref", "#")))
        except ContractError as error:
            yield f"{error}, at '{format_pointer((*path, '$ref'))}'."
        todo += [(child, (*path, *tokens), depth + 1) for tokens, child in iter_subschemas(node)]


def normalise_google(schema: Json, depth: int = 0) -> Json:
    """JSON Schema for Gemini's spelling of one: upper-case types, numbers as text, snake case, `propertyOrdering`.

    What is JSON Schema already comes back equal.
    """
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return schema
    out: dict[str, Json] = {}
    for spelled, value in schema.items():
        key = _SNAKE.get(str(spelled), str(spelled))
        out[key] = _normalised(key, value, depth + 1)
    if out.get("type") == "type_unspecified":
        del out["type"]
    if out.get("format") == "enum":
        del out["format"]
    order = out.get("propertyOrdering")
    if isinstance(order, list) and isinstance(out.get("properties"), dict):
        known = out["properties"]
        out["properties"] = {**{name: known[name] for name in order if name in known}, **known}
    return out


def _normalised(key: str, value: Json, depth: int) -> Json:
    if key == "type":
        if isinstance(value, list):
            return [kind.lower() if isinstance(kind, str) else kind for kind in value]
        return value.lower() if isinstance(value, str) else value
    if key in SCHEMA_KEYWORDS:
        return normalise_google(value, depth)
    if key in SCHEMA_LIST_KEYWORDS and isinstance(value, list):
        return [normalise_google(child, depth) for child in value]
    if key in SCHEMA_MAP_KEYWORDS and isinstance(value, Mapping):
        return {name: normalise_google(child, depth) for name, child in value.items()}
    return int(value) if key in _COUNTS and isinstance(value, str) and value.isdecimal() else value
