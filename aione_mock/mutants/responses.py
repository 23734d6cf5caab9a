"""Mutants of the Responses API: they forget, remember too long, or stream something else."""

from __future__ import annotations

from functools import partial

import orjson

from aione_mock.mutants.changes import (
    change_body,
    change_each_event,
    change_events,
    change_member,
    change_status,
    remove_members,
    remove_parameters,
)
from aione_mock.mutants.mutant import Mutant, MutantRequest, MutantResponse
from aione_mock.types import Json

_CREATE = ("createResponse",)
_DELTA = b'"response.output_text.delta"'


def _drop_delta(events: list[bytes]) -> list[bytes]:
    """Lose the second piece of the text, and number the rest as if nothing was missing."""
    deltas = [position for position, event in enumerate(events) if _DELTA in event]
    kept = [event for position, event in enumerate(events) if position not in deltas[1:2]]
    return [_renumber(event, number) for number, event in enumerate(kept)]


def _renumber(event: bytes, number: int) -> bytes:
    head, _, data = event.partition(b"data: ")
    return b"%bdata: %b\n\n" % (head, orjson.dumps({**orjson.loads(data), "sequence_number": number}))


def _skip_numbers(index: int, event: Json) -> Json:
    return {**event, "sequence_number": 2 * index}


def _add_tokens(usage: Json) -> Json:
    return {**usage, "total_tokens": usage["total_tokens"] + 5} if usage else usage


def _keep_deleted(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    """Show an answer once more after it was deleted."""
    shown = request.memory.setdefault("shown", {})
    if response.is_success and request.operation.id == "createResponse" and isinstance(data := response.data, dict):
        shown[data["id"]] = data
    name = request.path.rpartition("/")[2]
    if response.status == 404 and request.operation.id == "retrieveResponse" and name in shown:
        return response.with_data(shown[name], status=200)
    return response


def _change_text(data: Json) -> Json:
    content = change_member("output", "*", "content", "*", "text", to=lambda text: f"{text} (again)")
    changed: Json = content(data)
    return changed


_mutant = partial(Mutant, area="responses", operations=_CREATE, extensions=("responses",))

MUTANTS = (
    _mutant("response_failing", "Every response is a 500", ("response-answered",), response=change_status(200, 500)),
    _mutant("response_usage_wrong", "total_tokens is five more than its parts", ("response-usage",),
            response=change_body(change_member("usage", to=_add_tokens))),
    _mutant("response_piece_lost", "A stream loses a piece of the text", ("response-stream",),
            response=change_events(_drop_delta)),
    _mutant("response_numbers_skipped", "Numbers of events have gaps", ("response-stream",),
            response=change_each_event(_skip_numbers)),
    _mutant("response_end_missing", "A stream has no last event", ("response-stream",),
            response=change_events(lambda events: events[:-1])),
    _mutant("response_rewritten", "A stored response has another text", ("response-retrieved",),
            operations=("retrieveResponse",), response=change_body(_change_text)),
    _mutant("response_order_ignored", "The order of input items is ignored", ("response-inputs",),
            operations=("listResponseInputItems",), request=remove_parameters("order")),
    _mutant("response_pages_ignored", "Input items come on one page", ("response-inputs",),
            operations=("listResponseInputItems",), request=remove_parameters("limit", "after")),
    _mutant("response_forgotten", "previous_response_id is ignored", ("response-remembered",),
            request=remove_members("previous_response_id")),
    _mutant("response_undeletable", "A deleted response can be read", ("response-deleted",),
            operations=("createResponse", "retrieveResponse"), response=_keep_deleted),
    _mutant("response_stored_always", "store is ignored", ("response-unstored",), request=remove_members("store")),
    _mutant("response_tools_ignored", "Tools are ignored", ("response-tools",),
            request=remove_members("tools", "tool_choice")),
    _mutant("response_format_ignored", "text.format is ignored", ("response-json",), request=remove_members("text")),
    _mutant("response_never_incomplete", "The status is always completed", ("response-cut",),
            response=change_body(change_member("status", to=lambda status: "completed"))),
)  # fmt: skip
