"""Answer operations that have no handler of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aione_mock import protocols
from aione_mock.contract import Operation, validation
from aione_mock.errors import APIError
from aione_mock.generator import generate
from aione_mock.seed import Seed
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Headers, Json, Reply, clean_header_value


async def answer_from_schema(call: Call, session: Session) -> Reply:
    """Answer with the first example of the successful response, or with a value generated from its schema.

    Only operations that an overlay added take texts from Faker: installing it must not change the others.
    """
    operation = call.operation
    response = operation.responses[str(operation.success)]
    media = response.get("content", {}).get("application/json")
    seed = session.seed.child("generic", operation.id, call.path, call.query, call.body)
    headers = generate_headers(operation, operation.success, seed)
    if media is None:
        return Reply(None, operation.success, headers)
    example = find_first_example(media)
    body = example[0] if example else generate_body(operation, media, seed)
    return Reply(body, operation.success, headers)


def find_first_example(media: Mapping[str, Any]) -> list[Json]:
    """Return the first example of a media type alone; nothing if it has none."""
    named = [example["value"] for example in media.get("examples", {}).values()]
    return [*named, *([media["example"]] if "example" in media else ())][:1]


def generate_body(operation: Operation, media: Mapping[str, Any], seed: Seed) -> Json:
    """Return a body that the schema of a media type allows; None without a schema."""
    if "schema" not in media:
        return None
    return generate(media["schema"], seed, resolve=operation.locate, realistic=operation.added)


def generate_headers(operation: Operation, status: int, seed: Seed) -> Headers:
    """Return the headers that an answer must have: the example of each, or a value that its schema allows."""
    declared = operation.responses[str(status)].get("headers", {})
    nodes = {name.lower(): operation.resolve(node) for name, node in declared.items()}
    return [
        (name, clean_header_value(str(_generate_header(operation, node, seed.child("header", name)))))
        for name, node in nodes.items()
        if node.get("required") and name not in protocols.REQUEST_ID_NAMES
    ]


def _generate_header(operation: Operation, node: Json, seed: Seed) -> Json:
    return node["example"] if "example" in node else generate(node.get("schema", {}), seed, resolve=operation.locate)


def answer_with_body(call: Call) -> Reply:
    """Answer with the body that a scenario scripted for an operation that calls no model.

    Raises APIError `invalid_request` with what the contract does not allow in it.
    """
    operation, body = call.operation, call.script.body
    validator = operation.get_response_validator(operation.success, "application/json")
    if validator is None:
        raise APIError("invalid_request", f"{operation.id} answers without a body, so none can be scripted.")
    if findings := validation.find_violations(validator, body):
        message = f"The scripted body does not fit {operation.id}: {findings[0].sentence}"
        raise APIError("invalid_request", message, findings=tuple(found.to_detail() for found in findings))
    return Reply(body, operation.success)
