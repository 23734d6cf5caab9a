"""Answer the Responses API: ask, read again, list what was asked, forget."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from aione_mock.model import prompt_cache
from aione_mock.protocols import openai_responses
from aione_mock.server import stored_responses
from aione_mock.server.handlers.chat import draft_answer, name_tool_calls
from aione_mock.server.sessions import Session
from aione_mock.server.stored_responses import StoredResponse
from aione_mock.types import Call, Completion, Json, Reply, StreamReply


async def create_response(call: Call, session: Session) -> Reply | StreamReply:
    """Answer `POST /v1/responses`."""
    data, stream = call.data, bool(call.data.get("stream"))
    earlier = await stored_responses.list_earlier_items(data.get("previous_response_id"), call.caller, session)
    draft = await draft_answer(call, session, partial(openai_responses.read_prompt, earlier=earlier), stream)
    usage, choices = draft.usage, draft.choices
    if usage.prompt >= prompt_cache.MINIMUM:
        usage = await prompt_cache.count_cached_tokens(draft.prompt, usage, session.store, call.at)
    if choices[0].tool_calls:
        choices = name_tool_calls(choices, session.seed, call.token)
    completion = Completion(call.token, int(call.at), draft.model.id, choices, usage)
    shown = draft.prompt.show_reasoning or call.script is not None  # who scripts a thought wants it seen
    body = openai_responses.render_response(completion, call, show_reasoning=shown)
    if data.get("store") is not False:
        stored = StoredResponse(body, openai_responses.store_input_items(data, call.token))
        stored_responses.save_response(stored, call.caller, session)
    if not stream:
        return Reply(body, usage=usage, model=draft.model.id)
    events, weights = openai_responses.render_events(body, choices[0])
    return StreamReply(events, weights, usage=usage, model=draft.model.id)


async def retrieve_response(call: Call, session: Session) -> Reply:
    """Answer `GET /v1/responses/{response_id}`."""
    stored = await stored_responses.require_response(call.params["response_id"], call.caller, session)
    return Reply(stored.body)


async def delete_response(call: Call, session: Session) -> Reply:
    """Answer `DELETE /v1/responses/{response_id}`."""
    name = call.params["response_id"]
    await stored_responses.delete_response(name, call.caller, session)
    return Reply({"id": name, "object": "response", "deleted": True})


async def list_input_items(call: Call, session: Session) -> Reply:
    """Answer `GET /v1/responses/{response_id}/input_items`, in pages."""
    stored = await stored_responses.require_response(call.params["response_id"], call.caller, session)
    items = stored.items if call.params.get("order") == "asc" else stored.items[::-1]
    rest = _skip_to(items, call.params.get("after"))
    page = rest[: call.params.get("limit", 20)]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return Reply({"object": "list", "data": page, **ends, "has_more": len(rest) > len(page)})


def _skip_to(items: Sequence[dict[str, Json]], name: str | None) -> Sequence[dict[str, Json]]:
    """Return the items after the one of a name; all of them without a name, and none after an unknown one."""
    if not name:
        return items
    names = [item["id"] for item in items]
    return items[names.index(name) + 1 :] if name in names else ()
