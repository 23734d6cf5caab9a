"""Check whether a contract can be served. Runs when a document is new or changed.

Whatever the package does not support is reported with its JSON Pointer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import jsonschema_rs

from aione_mock.contract.json_pointer import escape_token, format_pointer
from aione_mock.contract.json_schema import iter_subschemas
from aione_mock.contract.openapi import STREAM, Contract, Operation, list_operations, locate_node
from aione_mock.contract.structure import EVIDENCE, find_structure_problems
from aione_mock.errors import ContractError, did_you_mean
from aione_mock.types import Json

_KEYWORDS = frozenset(
    """
    $ref $defs $comment type enum const default title description examples example format deprecated readOnly
    writeOnly properties required additionalProperties patternProperties propertyNames minProperties maxProperties
    unevaluatedProperties dependentRequired items prefixItems contains minItems maxItems uniqueItems minLength
    maxLength pattern contentMediaType contentEncoding contentSchema minimum maximum exclusiveMinimum
    exclusiveMaximum multipleOf allOf anyOf oneOf not if then else discriminator
    """.split()
)

_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
_SCHEMAS = jsonschema_rs.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"})
"""Accepts schemas."""


def find_document_problems(documents: Mapping[str, Json]) -> list[str]:
    """Return a line for everything that keeps documents from being read as a contract."""
    found = list(find_structure_problems(documents))
    for name, document in documents.items():
        found += _check_references(document, name, document, "#")
        found += _check_schemas(name, document, "#")
        found += _check_patterns(name, document, "#")
    return found or list(_find_repeated_ids(documents))


def _find_repeated_ids(documents: Mapping[str, Json]) -> Iterator[str]:
    seen: set[str] = set()
    for document, path, method, item in list_operations(documents):
        name = item[method]["operationId"]
        if name in seen:
            where = f"{document}#{format_pointer(('paths', path, method))}"
            yield f"{where}: operationId '{name}' occurs twice; choose another"
        seen.add(name)


def find_problems(contract: Contract) -> Iterator[str]:
    """Yield a line for everything that keeps a contract from being served."""
    dialects = {str(o.raw.get("x-dialect")) for o in contract.operations.values() if not o.added}
    for operation in contract.operations.values():
        yield from _check_operation(contract, operation, dialects)
    for example, problem in find_unfit_examples(contract):
        if example.place not in contract.notes:
            yield f"{example.place}: {problem}"


def _check_operation(contract: Contract, operation: Operation, dialects: Collection[str]) -> Iterator[str]:
    where = f"{operation.document}{operation.pointer}"
    if operation.raw.get("x-evidence") not in EVIDENCE and operation.protocol != "control":
        yield f"{where}/x-evidence: must be one of {', '.join(EVIDENCE)}"
    if "x-dialect" not in operation.raw:
        yield f"{where}/x-dialect: is missing; add the protocol that it speaks"
    elif operation.protocol not in dialects:
        yield f"{where}/x-dialect: must be one of {', '.join(sorted(dialects))}"
    if not any(status.startswith("2") for status in operation.responses):
        yield f"{where}/responses: no answer of success; add '200'"
    unknown = {scheme for option in operation.security for scheme in option} - set(contract.schemes)
    if unknown:
        yield f"{where}/security: unknown scheme '{min(unknown)}'{did_you_mean(min(unknown), contract.schemes)}"
    try:
        _ = operation.stream
    except ContractError as error:
        yield f"{where}: {error}"


def _check_references(document: Json, name: str, node: Json, pointer: str) -> Iterator[str]:
    if isinstance(node, list):
        for position, value in enumerate(node):
            yield from _check_references(document, name, value, f"{pointer}/{position}")
    if not isinstance(node, dict):
        return
    reference = None if pointer.endswith(("/properties", "/value")) else node.get("$ref")
    if isinstance(reference, str) and (problem := _explain_reference(document, reference)):
        yield f"{name}{pointer}/$ref: '{reference}' {problem}; correct it"
    for key, value in node.items():
        if key not in ("example", "examples", "value"):
            yield from _check_references(document, name, value, f"{pointer}/{escape_token(key)}")


def _explain_reference(document: Json, reference: str) -> str | None:
    """Return why a reference, or the one that it leads to, cannot be followed; None if it can."""
    node, seen = {"$ref": reference}, set[str]()
    while isinstance(node, dict) and isinstance(step := node.get("$ref"), str):
        if step in seen:
            return "leads back to itself"
        seen.add(step)
        try:
            node = locate_node(document, step)
        except ContractError as error:
            return str(error).rpartition(": ")[2]
    return None


def _check_schemas(name: str, node: Json, pointer: str) -> Iterator[str]:
    """Check every schema below a node of a document."""
    if isinstance(node, list):
        for position, value in enumerate(node):
            yield from _check_schemas(name, value, f"{pointer}/{position}")
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        here = f"{pointer}/{escape_token(key)}"
        if key in ("example", "examples", "value") or key.startswith("x-"):
            continue
        if key == "schema":
            yield from _check_root_schema(name, value, here)
        elif key == "schemas" and pointer == "#/components":
            for member, schema in value.items() if isinstance(value, dict) else ():
                yield from _check_root_schema(name, schema, f"{here}/{escape_token(member)}")
        else:
            yield from _check_schemas(name, value, here)


def _check_root_schema(name: str, schema: Json, pointer: str) -> Iterator[str]:
    """Check a schema and all schemas in it."""
    found = list(_check_schema(name, schema, pointer))
    if isinstance(schema, dict):
        for error in _SCHEMAS.iter_errors(schema):
            where = f"{name}{pointer}{format_pointer(error.instance_path)}"
            found.append(f"{where}: {_describe_schema_error(error)}")
    yield from found


def _describe_schema_error(error: jsonschema_rs.ValidationError) -> str:
    if error.kind.name == "anyOf" and error.instance_path[-1:] == ["type"]:
        remedy = did_you_mean(str(error.instance), _TYPES) or f"; choose from {', '.join(_TYPES)}"
        return f"'{error.instance}' is no type{remedy}"
    return f"{error.message[:200]}; see JSON Schema 2020-12"


def _check_schema(name: str, schema: Json, pointer: str) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{name}{pointer}: a schema must be a mapping or a boolean"
        return
    for key in schema:
        if key not in _KEYWORDS and not key.startswith("x-"):
            remedy = did_you_mean(key, _KEYWORDS) or "; remove it"
            yield f"{name}{pointer}/{escape_token(key)}: unknown schema keyword '{key}'{remedy}"
    evidence = schema.get("x-evidence", EVIDENCE[0])
    if unknown := set(evidence.values() if isinstance(evidence, dict) else [evidence]) - set(EVIDENCE):
        yield f"{name}{pointer}/x-evidence: '{min(map(str, unknown))}' is none of {', '.join(EVIDENCE)}"
    for keys, child in iter_subschemas(schema):
        yield from _check_schema(name, child, pointer + format_pointer(keys))


def _check_patterns(name: str, node: Json, pointer: str) -> Iterator[str]:
    """Report patterns that do not compile. A validator would report them at the first request only."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str) and "type" in node:
            try:
                re.compile(node["pattern"])
                jsonschema_rs.Draft202012Validator({"pattern": node["pattern"]})
            except (re.error, ValueError) as error:
                yield f"{name}{pointer}/pattern: not a regular expression: {str(error).splitlines()[0]}; correct it"
        for key, value in node.items():
            yield from _check_patterns(name, value, f"{pointer}/{escape_token(key)}")


@dataclass(frozen=True, slots=True)
class ContractExample:
    """An example, and the mapping or list that holds it."""

    document: str
    pointer: str
    schema: Json
    value: Json
    holder: Json
    key: Json

    @property
    def place(self) -> str:
        """Document and pointer."""
        return f"{self.document}{self.pointer}"


def find_unfit_examples(contract: Contract) -> Iterator[tuple[ContractExample, str]]:
    """Yield each example that its own schema rejects, with what is wrong."""
    for example in list_examples(contract):
        for error in contract.get_schema_validator(example.document, example.schema).iter_errors(example.value):
            yield example, f"{'/'.join(map(str, error.instance_path))}: {error.message[:300]}"
            break


def list_examples(contract: Contract) -> Iterator[ContractExample]:
    """Yield each example that has a schema."""
    for document, pointer, media in _list_media(contract):
        examples = media.get("examples", {}) if "schema" in media else {}
        for name, example in list(examples.items()):
            where = f"{pointer}/examples/{escape_token(name)}"
            yield ContractExample(document, where, media["schema"], example.get("value"), examples, name)
        if "example" in media and "schema" in media:
            yield ContractExample(document, f"{pointer}/example", media["schema"], media["example"], media, "example")
    for document, content in contract.documents.items():
        for name, schema in content.get("components", {}).get("schemas", {}).items():
            pointer = f"#/components/schemas/{name}"
            values = schema.get("examples", []) if isinstance(schema, dict) else []
            for position, value in reversed(list(enumerate(values))):
                where = f"{pointer}/examples/{position}"
                yield ContractExample(document, where, {"$ref": pointer}, value, values, position)


def _list_media(contract: Contract) -> Iterator[tuple[str, str, Json]]:
    """Yield document, pointer and object of everything that has a schema and examples."""
    for operation in contract.operations.values():
        for pointer, media in _list_operation_media(operation):
            yield operation.document, f"{operation.pointer}{pointer}", media


def _list_operation_media(operation: Operation) -> Iterator[tuple[str, Json]]:
    for position, node in enumerate(operation.raw.get("parameters", [])):
        yield f"/parameters/{position}", operation.resolve(node)
    for media_type, media in operation.request_body.get("content", {}).items():
        yield f"/requestBody/content/{escape_token(media_type)}", media
    for status, response in operation.responses.items():
        for media_type, media in response.get("content", {}).items():
            if media_type != STREAM:
                yield f"/responses/{status}/content/{escape_token(media_type)}", media
        for name, node in response.get("headers", {}).items():
            yield f"/responses/{status}/headers/{name}", operation.resolve(node)
