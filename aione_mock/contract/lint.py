"""What a contract must satisfy to be served; run when a document is new or changed.

Refuses what the package does not understand, naming the JSON pointer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aione_mock.contract import STREAM, Contract
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
_MAPS = ("properties", "patternProperties", "$defs")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    "items",
    "additionalProperties",
    "unevaluatedProperties",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
    "propertyNames",
)


def check(contract: Contract) -> None:
    """Raises ContractError for the first thing wrong, all of it found by `findings`."""
    for finding in findings(contract):
        raise ContractError(finding)


def findings(contract: Contract) -> Iterator[str]:
    """Everything that keeps a contract from being served, a line each."""
    for name, document in contract.documents.items():
        yield from _references(contract, name, document, "#")
        yield from _schemas(name, document, "#")
        yield from _patterns(name, document, "#")
    for operation in contract.operations.values():
        where = f"{operation.document}{operation.pointer}"
        if operation.raw.get("x-evidence") not in EVIDENCE and operation.protocol != "control":
            yield f"{where}/x-evidence: one of {', '.join(EVIDENCE)} is needed"
        if "x-dialect" not in operation.raw:
            yield f"{where}/x-dialect: is missing"
        unknown = {scheme for option in operation.security for scheme in option} - set(contract.schemes)
        if unknown:
            yield f"{where}/security: unknown scheme '{min(unknown)}'{did_you_mean(min(unknown), contract.schemes)}"
        _ = operation.stream  # raises ContractError for a bad grammar
    yield from _examples(contract)


def _references(contract: Contract, name: str, node: Json, pointer: str) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and not pointer.endswith(("/properties", "/value")):
            try:
                contract.locate(name, reference)
            except ContractError:
                yield f"{name}{pointer}/$ref: '{reference}' points to nothing"
        for key, value in node.items():
            if key not in ("example", "examples", "value"):
                yield from _references(contract, name, value, f"{pointer}/{_escape(key)}")
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _references(contract, name, value, f"{pointer}/{position}")


def _schemas(name: str, node: Json, pointer: str) -> Iterator[str]:
    """Findings in every schema of a document."""
    if isinstance(node, list):
        for position, value in enumerate(node):
            yield from _schemas(name, value, f"{pointer}/{position}")
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        here = f"{pointer}/{_escape(key)}"
        if key in ("example", "examples", "value", "x-stream"):
            continue
        if key == "schema":
            yield from _schema(name, value, here)
        elif key == "schemas" and pointer == "#/components":
            for member, schema in value.items():
                yield from _schema(name, schema, f"{here}/{_escape(member)}")
        else:
            yield from _schemas(name, value, here)


def _schema(name: str, schema: Json, pointer: str) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{name}{pointer}: a schema is a mapping or a boolean"
        return
    for key, value in schema.items():
        here = f"{pointer}/{_escape(key)}"
        if key not in _KEYWORDS and not key.startswith("x-"):
            yield f"{name}{here}: unknown schema keyword '{key}'{did_you_mean(key, _KEYWORDS)}"
        elif key in _MAPS:
            for member, child in value.items():
                yield from _schema(name, child, f"{here}/{_escape(member)}")
        elif key in _LISTS:
            for position, child in enumerate(value):
                yield from _schema(name, child, f"{here}/{position}")
        elif key in _SINGLE:
            yield from _schema(name, value, here)


def _patterns(name: str, node: Json, pointer: str) -> Iterator[str]:
    """Patterns that do not compile; a validator would only say so at the first request."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str) and "type" in node:
            try:
                re.compile(node["pattern"])
            except re.error as error:
                yield f"{name}{pointer}/pattern: {error}"
        for key, value in node.items():
            yield from _patterns(name, value, f"{pointer}/{_escape(key)}")


def _examples(contract: Contract) -> Iterator[str]:
    """Examples that their own schema rejects."""
    for operation in contract.operations.values():
        where = f"{operation.document}{operation.pointer}"
        for position, reference in enumerate(operation.raw.get("parameters", [])):
            yield from _media(
                contract,
                operation.document,
                contract.resolve(operation.document, reference),
                f"{where}/parameters/{position}",
            )
        for media_type, media in operation.request_body.get("content", {}).items():
            yield from _media(contract, operation.document, media, f"{where}/requestBody/content/{_escape(media_type)}")
        for status, response in operation.responses.items():
            here = f"{where}/responses/{status}"
            for media_type, media in response.get("content", {}).items():
                if media_type != STREAM:
                    yield from _media(contract, operation.document, media, f"{here}/content/{_escape(media_type)}")
            for header, reference in response.get("headers", {}).items():
                yield from _media(
                    contract,
                    operation.document,
                    contract.resolve(operation.document, reference),
                    f"{here}/headers/{header}",
                )
    for name, document in contract.documents.items():
        for member, schema in document.get("components", {}).get("schemas", {}).items():
            yield from _media(
                contract,
                name,
                {**_listed(schema), "schema": {"$ref": f"#/components/schemas/{member}"}},
                f"{name}#/components/schemas/{member}",
            )


def _listed(schema: Json) -> Json:
    """A schema's own examples, in the form that media types have them."""
    examples = schema.get("examples", []) if isinstance(schema, dict) else []
    return {"examples": {str(i): {"value": value} for i, value in enumerate(examples)}}


def _media(contract: Contract, document: str, media: Json, where: str) -> Iterator[str]:
    if "schema" not in media:
        return
    examples = {f"examples/{name}": example.get("value") for name, example in media.get("examples", {}).items()}
    if "example" in media:
        examples["example"] = media["example"]
    if not examples:
        return
    validator = contract.validator(document, media["schema"])
    for name, value in examples.items():
        for error in validator.iter_errors(value):
            yield f"{where}/{name}: {'/'.join(map(str, error.instance_path))}: {error.message[:300]}"
            break


def _escape(token: str) -> str:
    return str(token).replace("~", "~0").replace("/", "~1")
