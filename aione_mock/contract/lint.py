"""Check whether a contract can be served. Runs when a document is new or changed.

Whatever the package does not support is reported with its JSON Pointer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aione_mock.contract.json_pointer import escape_token, format_pointer
from aione_mock.contract.json_schema import iter_subschemas
from aione_mock.contract.openapi import STREAM, Contract, Operation
from aione_mock.errors import ContractError, did_you_mean
from aione_mock.types import Json

EVIDENCE = ("documented", "deduced", "assumed")
_KEYWORDS = frozenset(
    """
    $ref $defs $comment type enum const default title description examples example format deprecated readOnly
    writeOnly properties required additionalProperties patternProperties propertyNames minProperties maxProperties
    unevaluatedProperties dependentRequired items prefixItems contains minItems maxItems uniqueItems minLength
    maxLength pattern contentMediaType contentEncoding contentSchema minimum maximum exclusiveMinimum
    exclusiveMaximum multipleOf allOf anyOf oneOf not if then else discriminator
    """.split()
)


def check_contract(contract: Contract) -> None:
    """Raise ContractError for the first problem of a contract, if there is one."""
    for problem in find_problems(contract):
        raise ContractError(problem)


def find_problems(contract: Contract) -> Iterator[str]:
    """Yield a line for everything that keeps a contract from being served."""
    for name, document in contract.documents.items():
        yield from _check_references(contract, name, document, "#")
        yield from _check_schemas(name, document, "#")
        yield from _check_patterns(name, document, "#")
    for operation in contract.operations.values():
        yield from _check_operation(contract, operation)
    yield from _check_examples(contract)


def _check_operation(contract: Contract, operation: Operation) -> Iterator[str]:
    where = f"{operation.document}{operation.pointer}"
    if operation.raw.get("x-evidence") not in EVIDENCE and operation.protocol != "control":
        yield f"{where}/x-evidence: must be one of {', '.join(EVIDENCE)}"
    if "x-dialect" not in operation.raw:
        yield f"{where}/x-dialect: is missing"
    unknown = {scheme for option in operation.security for scheme in option} - set(contract.schemes)
    if unknown:
        yield f"{where}/security: unknown scheme '{min(unknown)}'{did_you_mean(min(unknown), contract.schemes)}"
    _ = operation.stream  # raises ContractError for a bad grammar


def _check_references(contract: Contract, name: str, node: Json, pointer: str) -> Iterator[str]:
    if isinstance(node, list):
        for position, value in enumerate(node):
            yield from _check_references(contract, name, value, f"{pointer}/{position}")
    if not isinstance(node, dict):
        return
    reference = node.get("$ref")
    if isinstance(reference, str) and not pointer.endswith(("/properties", "/value")):
        try:
            contract.locate(name, reference)
        except ContractError:
            yield f"{name}{pointer}/$ref: '{reference}' points to nothing"
    for key, value in node.items():
        if key not in ("example", "examples", "value"):
            yield from _check_references(contract, name, value, f"{pointer}/{escape_token(key)}")


def _check_schemas(name: str, node: Json, pointer: str) -> Iterator[str]:
    """Check every schema below a node of a document."""
    if isinstance(node, list):
        for position, value in enumerate(node):
            yield from _check_schemas(name, value, f"{pointer}/{position}")
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        here = f"{pointer}/{escape_token(key)}"
        if key in ("example", "examples", "value", "x-stream"):
            continue
        if key == "schema":
            yield from _check_schema(name, value, here)
        elif key == "schemas" and pointer == "#/components":
            for member, schema in value.items():
                yield from _check_schema(name, schema, f"{here}/{escape_token(member)}")
        else:
            yield from _check_schemas(name, value, here)


def _check_schema(name: str, schema: Json, pointer: str) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{name}{pointer}: a schema must be a mapping or a boolean"
        return
    for key in schema:
        if key not in _KEYWORDS and not key.startswith("x-"):
            yield f"{name}{pointer}/{escape_token(key)}: unknown schema keyword '{key}'{did_you_mean(key, _KEYWORDS)}"
    for keys, child in iter_subschemas(schema):
        yield from _check_schema(name, child, pointer + format_pointer(keys))


def _check_patterns(name: str, node: Json, pointer: str) -> Iterator[str]:
    """Report patterns that do not compile. A validator would report them at the first request only."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str) and "type" in node:
            try:
                re.compile(node["pattern"])
            except re.error as error:
                yield f"{name}{pointer}/pattern: {error}"
        for key, value in node.items():
            yield from _check_patterns(name, value, f"{pointer}/{escape_token(key)}")


def _check_examples(contract: Contract) -> Iterator[str]:
    """Report examples that their own schema rejects."""
    for document, pointer, media in _list_media(contract):
        yield from _check_media(contract, document, media, f"{document}{pointer}")


def _list_media(contract: Contract) -> Iterator[tuple[str, str, Json]]:
    """Yield document, pointer and object of everything that has a schema and examples."""
    for operation in contract.operations.values():
        for pointer, media in _list_operation_media(operation):
            yield operation.document, f"{operation.pointer}{pointer}", media
    for name, document in contract.documents.items():
        for member, schema in document.get("components", {}).get("schemas", {}).items():
            pointer = f"#/components/schemas/{member}"
            examples = schema.get("examples", []) if isinstance(schema, dict) else []
            named = {str(position): {"value": value} for position, value in enumerate(examples)}
            yield name, pointer, {"examples": named, "schema": {"$ref": pointer}}


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


def _check_media(contract: Contract, document: str, media: Json, where: str) -> Iterator[str]:
    if "schema" not in media:
        return
    examples = {f"examples/{name}": example.get("value") for name, example in media.get("examples", {}).items()}
    if "example" in media:
        examples["example"] = media["example"]
    validator = contract.schema_validator(document, media["schema"]) if examples else None
    for name, value in examples.items():
        for error in validator.iter_errors(value) if validator else ():
            yield f"{where}/{name}: {'/'.join(map(str, error.instance_path))}: {error.message[:300]}"
            break
