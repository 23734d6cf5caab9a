"""Answer operations that have no handler of their own."""

from __future__ import annotations

from aione_mock.contract import validation
from aione_mock.errors import APIError
from aione_mock.generator import generate
from aione_mock.server.sessions import Session
from aione_mock.types import Call, Reply


async def answer_from_schema(call: Call, session: Session) -> Reply:
    """Answer with the first example of the successful response, or with a value generated from its schema.

    Only operations that an overlay added take texts from Faker: installing it must not change the others.
    """
    operation = call.operation
    response = operation.responses[str(operation.success)]
    media = response.get("content", {}).get("application/json")
    if media is None:
        return Reply(None, operation.success)
    example = next((e["value"] for e in media.get("examples", {}).values()), None)
    if example is not None:
        return Reply(example, operation.success)
    seed = session.seed.child("generic", operation.id, call.path, call.query, call.body)
    body = generate(media["schema"], seed, resolve=operation.locate, realistic=operation.added)
    return Reply(body, operation.success)


def answer_with_body(call: Call) -> Reply:
    """Answer with the body that a scenario scripted for an operation that calls no model.

    Raises APIError `invalid_request` with what the contract does not allow in it.
    """
    operation, body = call.operation, call.script.body
    validator = operation.response_validator(operation.success, "application/json")
    if validator is None:
        raise APIError("invalid_request", f"{operation.id} answers without a body, so none can be scripted.")
    if findings := validation.find_violations(validator, body):
        message = f"The scripted body does not fit {operation.id}: {findings[0].sentence}"
        raise APIError("invalid_request", message, findings=tuple(found.to_detail() for found in findings))
    return Reply(body, operation.success)
