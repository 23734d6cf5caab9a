"""Answer in JSON, and refuse schemas that an answer cannot follow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from aione_mock.contract.json_pointer import format_pointer
from aione_mock.contract.json_schema import iter_subschemas
from aione_mock.errors import APIError, ContractError
from aione_mock.generator import LONGEST, TooComplex, WorkBudget, generate, plan_schema
from aione_mock.generator.budget import MAX_BYTES
from aione_mock.generator.plan import resolve_reference
from aione_mock.generator.words import usual_range
from aione_mock.model import prose
from aione_mock.model.arguments import fill_schema
from aione_mock.model.mentions import Mentions
from aione_mock.model.slots import collect_slots
from aione_mock.seed import Seed
from aione_mock.types import Json, Prompt

_REMARKS = frozenset(
    "title description default example examples propertyOrdering $schema $id $comment deprecated readOnly writeOnly "
    "discriminator".split()
)
SUPPORTED_KEYWORDS = _REMARKS | frozenset(
    "type properties required additionalProperties items prefixItems enum const format anyOf oneOf allOf $defs "
    "definitions $ref nullable minimum maximum multipleOf exclusiveMinimum exclusiveMaximum minLength maxLength "
    "pattern minItems maxItems uniqueItems minProperties maxProperties".split()
)
"""The keywords that a schema for an answer may use."""
_CONSTRAINING = frozenset(["properties", "items", "prefixItems", "anyOf", "oneOf", "allOf"])
_MAX_DEPTH = 64
_MAX_KEYS = 20
_KEY = re.compile(r"[^\W\d][\w-]{0,40}")


def compose_json(prompt: Prompt, seed: Seed, today: date) -> str:
    """Return the JSON text of an answer that holds what the question names.

    Without a schema it is an object with the keys that the question quotes, else with the key `answer`. Raises APIError
    `invalid_request` where the schema has no instance.
    """
    mentions = Mentions(prose.find_question(prompt.turns), today)
    schema = prompt.schema
    if schema is None:
        keys = [item.value for item in mentions.find("quoted") if _KEY.fullmatch(item.value)][:_MAX_KEYS]
        if not keys:
            return orjson.dumps({"answer": prose.compose_prose(prompt, seed).text}).decode()
        properties = {key: {"type": "number" if usual_range(key) else "string"} for key in keys}
        schema = {"type": "object", "properties": properties, "required": [*properties]}
        mentions = mentions.with_values("quoted", [])
    try:
        return orjson.dumps(fill_schema(schema, collect_slots(schema), mentions, seed)).decode()
    except ContractError as problem:
        raise APIError("invalid_request", f"Invalid schema for the response: {problem}") from None


def check_schema(schema: Json, param: str) -> None:
    """Refuse a schema that answers cannot follow.

    Raises APIError `invalid_request`. Its message names the keyword and its JSON pointer, `param` the parameter.
    """
    if problem := _find_schema_problem(schema):
        raise APIError("invalid_request", f"Invalid schema for '{param}': {problem}", fields={"param": param})


def _find_schema_problem(schema: Json) -> str | None:
    try:
        raw = orjson.dumps(schema)
    except TypeError:
        return f"it is nested deeper than {_MAX_DEPTH} levels or holds numbers beyond 64 bits."
    return (_examine_cached if len(raw) <= LONGEST else _examine)(raw)


def _examine(raw: bytes) -> str | None:
    """Return what is wrong with a schema, None if nothing is."""
    if len(raw) > MAX_BYTES:
        return f"it has {len(raw)} bytes; at most {MAX_BYTES} are allowed."
    schema = orjson.loads(raw)
    if not isinstance(schema, dict):
        return "it must be an object."
    if found := next(_find_unsupported(schema), None):
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
    found = explain_contradiction(schema)
    return f"{found}." if found else None


_examine_cached = lru_cache(256)(_examine)


def explain_contradiction(schema: Json) -> str | None:
    """Return why a schema has no instance: the keywords of its innermost part without one, and where that part is."""
    try:
        return _find_contradiction(schema, WorkBudget())
    except TooComplex as error:
        return str(error)


def _find_contradiction(schema: Json, work: WorkBudget) -> str | None:
    if _has_instance(schema, schema, work):
        return None
    node: Json = schema
    path: tuple[str, ...] = ()
    while inner := next((c for c in _list_constraining(node) if not _has_instance(c[1], schema, work)), None):
        node, path = inner[1], (*path, *inner[0])
    keywords = sorted(node.keys() - _REMARKS) if isinstance(node, Mapping) else []
    named = ", ".join(f"'{keyword}'" for keyword in keywords)
    if not named:
        return f"nothing is allowed at '{format_pointer(path)}'"
    return f"no value satisfies {named} at '{format_pointer(path)}'"


def _has_instance(node: Json, root: Json, work: WorkBudget) -> bool:
    """Return whether an instance is found from either of two seeds."""
    try:
        # references of the whole schema are its own, so that its plan can come from the cache
        plan = plan_schema(node, None if node is root else lambda reference: resolve_reference(root, reference), work)
    except TooComplex:
        raise
    except ContractError:
        return False
    for number in range(2):
        try:
            generate(plan, Seed.of(number), work=work)
        except TooComplex:
            raise
        except ContractError:
            continue
        return True
    return False


def _list_constraining(node: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Yield the parts of a schema that an instance has to satisfy."""
    if isinstance(node, Mapping):
        keywords = _CONSTRAINING if node.get("minItems") else _CONSTRAINING - {"items"}
        yield from (child for child in iter_subschemas(node) if child[0][0] in keywords)


def _find_unsupported(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each keyword that is not supported, with its JSON pointer."""
    todo: list[tuple[Json, tuple[str, ...], int]] = [(schema, (), 0)]
    while todo:
        node, path, depth = todo.pop()
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict):
            yield f"a schema must be an object or a boolean at '{format_pointer(path)}'."
            continue
        if depth > _MAX_DEPTH:
            yield f"it is nested deeper than {_MAX_DEPTH} levels."
        for key in node:
            if key not in SUPPORTED_KEYWORDS and not key.startswith("x-"):
                yield f"the keyword '{key}' at '{format_pointer((*path, key))}' is not supported."
        try:
            resolve_reference(schema, str(node.get("$ref", "#")))
        except ContractError as error:
            yield f"{error}, at '{format_pointer((*path, '$ref'))}'."
        todo += [(child, (*path, *tokens), depth + 1) for tokens, child in iter_subschemas(node)]
