"""Harmless variations: what a correct gateway may do otherwise than the mock, as an ASGI layer around it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import orjson

from aione_mock.structs import replace
from tests.checker.faulty_gateway import FaultyGateway, Out, SeenRequest, SentResponse

Members = dict[str, Any]
_OF_THE_USER = ("input", "args")
"""Members with arguments of tools, which belong to whoever offers the tool."""
_OUTERMOST = ("choices", "usage", "usageMetadata", "items", "key_prefix", "view_mode", "balance_rmb", "requestId")
"""Members of which the outermost object of an answer has one."""


@dataclass(frozen=True)
class Variation:
    """One thing that a gateway does otherwise."""

    change: Out = lambda request, response: response
    chunk: int = 0
    """Bytes of each piece of a body; 0 for one piece."""
    seconds: float = 0.0
    """Time before each answer."""


class VariedGateway(FaultyGateway):
    """A gateway with some variations."""

    def __init__(self, app: Any, *variations: Variation) -> None:
        super().__init__(app)
        self.variations = variations

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, response = await self._exchange(scope, receive)
        for variation in self.variations:
            response = variation.change(request, response)
        await asyncio.sleep(sum(variation.seconds for variation in self.variations))
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
        pairs = [pair for pair in pairs if pair[0].lower() != b"content-length"]
        await send({"type": "http.response.start", "status": response.status, "headers": pairs})
        size = max((variation.chunk for variation in self.variations), default=0) or len(response.body) or 1
        for start in range(0, len(response.body), size):
            await send({"type": "http.response.body", "body": response.body[start : start + size], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _exchange(self, scope: Any, receive: Any) -> tuple[SeenRequest, SentResponse]:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        request = SeenRequest(scope["method"], path, query, headers, body)
        return request, await self._answer(scope, receive, request)


# Tools


def is_stream(response: SentResponse) -> bool:
    """Return whether a response is an event stream."""
    return "event-stream" in response.headers.get("content-type", "")


def every_object(edit: Callable[[Members], None], path: str = "", *, lowest: int = 200, below: int = 300) -> Variation:
    """Change each object of JSON bodies and of events."""

    def change(request: SeenRequest, response: SentResponse) -> SentResponse:
        if not re.search(path, request.path) or not lowest <= response.status < below:
            return response
        if is_stream(response):
            return replace(response, body=_edit_events(response.body, edit))
        value = response.json
        if value is None:
            return response
        _edit_objects(value, edit)
        return response.with_json(value)

    return Variation(change)


def _edit_objects(value: Any, edit: Callable[[Members], None]) -> None:
    children = [child for name, child in value.items() if name not in _OF_THE_USER] if isinstance(value, dict) else []
    for child in value if isinstance(value, list) else children:
        _edit_objects(child, edit)
    if isinstance(value, dict):
        edit(value)


def _edit_events(body: bytes, edit: Callable[[Members], None]) -> bytes:
    lines = body.split(b"\n")
    for index, line in enumerate(lines):
        if line.startswith(b"data: {"):
            value = orjson.loads(line[6:])
            _edit_objects(value, edit)
            lines[index] = b"data: " + orjson.dumps(value)
    return b"\n".join(lines)


def text(change: Callable[[str], str], *, streams: bool) -> Variation:
    """Change the text of event streams, or of JSON bodies."""

    def edit(request: SeenRequest, response: SentResponse) -> SentResponse:
        applies = is_stream(response) if streams else response.json is not None
        return replace(response, body=change(response.body.decode()).encode()) if applies else response

    return Variation(edit)


def headers(change: Callable[[dict[str, str]], dict[str, str]]) -> Variation:
    """Change the headers of all responses."""
    return Variation(lambda request, response: replace(response, headers=change(response.headers)))


def _rename(members: Members, change: Callable[[str, Any], Any]) -> None:
    for name, value in members.items():
        members[name] = change(name, value)


# Variations


def _answer_created_with_200(request: SeenRequest, response: SentResponse) -> SentResponse:
    return replace(response, status=200) if response.status == 201 else response


def _answer_deletion_with_body(request: SeenRequest, response: SentResponse) -> SentResponse:
    if request.method != "DELETE" or response.status != 204:
        return response
    changed = {**response.headers, "content-type": "application/json"}
    return replace(response, status=200, headers=changed, body=b'{"deleted": true}')


def _fill_both_views(members: Members) -> None:
    if "view_mode" not in members:
        return
    tech, business = members["tech"], members["business"]
    shown = tech or business
    cost, trend = shown["total_cost_rmb"], shown["daily_trend"]
    members["tech"] = tech or {
        "total_tokens": sum(day["tokens"] for day in trend),
        "prompt_tokens": 0,
        "completion_tokens": sum(day["tokens"] for day in trend),
        "total_requests": sum(day["requests"] for day in trend),
        "total_cost_rmb": cost,
        "avg_latency_ms": 0,
        "p99_latency_ms": 0,
        "error_rate_pct": "0.00",
        "rpm_usage_pct": "0.00",
        "model_distribution": [],
        "daily_trend": trend,
    }
    members["business"] = business or {
        "total_chars_wan": 0,
        "total_conversations": 0,
        "total_cost_rmb": cost,
        "budget_progress_pct": "0.00",
        "capacity_status": "sufficient",
        "service_status": "normal",
        "team_cost_ranking": [],
        "daily_trend": trend,
    }


def _with_places(places: int) -> Callable[[Members], None]:
    def change(name: str, value: Any) -> Any:
        if not (name.endswith(("_rmb", "_pct")) and isinstance(value, str)):
            return value
        return str(Decimal(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))

    return lambda members: _rename(members, change)


def _call_disabled_inactive(members: Members) -> None:
    if "key_prefix" in members and members.get("status") == "disabled":
        members["status"] = "inactive"


def _add_members(members: Members) -> None:
    members["x_more"] = {"a": [1]}


def _repeat_role(members: Members) -> None:
    if "delta" in members and "role" not in members["delta"]:
        members["delta"] = {"role": "assistant", **members["delta"]}


def _leave_out_nulls(members: Members) -> None:
    for name in [name for name, value in members.items() if value is None]:
        del members[name]


def _reverse_members(members: Members) -> None:
    for name in reversed(list(members)):
        members[name] = members.pop(name)


def _change_ids(members: Members) -> None:
    def change(name: str, value: Any) -> Any:
        known = name in ("id", "tool_use_id", "responseId") and isinstance(value, str)
        return re.sub(r"^(chatcmpl-|msg_|toolu_|call_)", "gen-", value) if known else value

    _rename(members, change)


def _add_microseconds(members: Members) -> None:
    def change(name: str, value: Any) -> Any:
        moment = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value)
        return f"{value[:-1]}.000000Z" if moment and name.endswith(("_at", "_until", "freshness")) else value

    _rename(members, change)


def _change_messages(members: Members) -> None:
    def change(name: str, value: Any) -> Any:
        return "Nicht möglich." if name in ("message", "errMessage", "msg") and isinstance(value, str) else value

    _rename(members, change)
    if isinstance(members.get("detail"), str):
        members["detail"] = "Nicht möglich."


def _escape_text(body: str) -> str:
    return "".join(c if ord(c) < 128 else orjson_escape(c) for c in body)


def orjson_escape(character: str) -> str:
    """Return a character as JSON escapes it."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _limit_first(**changed: Any) -> Variation:
    """Answer the first call of each model operation with 429."""
    seen: set[str] = set()

    def change(request: SeenRequest, response: SentResponse) -> SentResponse:
        if request.method != "POST" or "/api/" in request.path or response.status != 200 or request.path in seen:
            return response
        seen.add(request.path)
        error = {
            "message": changed.get("message", "Slow down."),
            "type": "rate_limit_error",
            "code": "rate_limit_exceeded",
        }
        kept = {name: value for name, value in response.headers.items() if name == "x-request-id"}
        retry = {"retry-after": changed["retry_after"]} if "retry_after" in changed else {}
        return SentResponse(429, {**kept, **retry, "content-type": "application/json"}, orjson.dumps({"error": error}))

    return Variation(change)


def _add_counter() -> Variation:
    """Add a member that differs in each answer and event."""
    count = iter(range(10**9))

    def edit(members: Members) -> None:
        if not members.keys().isdisjoint(_OUTERMOST):
            members["took_us"] = next(count)

    return every_object(edit)


def _join_last_pieces(body: str) -> str:
    """Put the last text of a chat stream into the event that ends it."""
    pattern = (
        r'data: (\{[^\n]*"delta":\{"content":"[^\n]*?"\}[^\n]*"finish_reason":null[^\n]*)\n\n'
        r'data: (\{[^\n]*"finish_reason":"[^\n]*)\n\n'
    )

    def join(match: re.Match[str]) -> str:
        first, last = orjson.loads(match[1]), orjson.loads(match[2])
        last["choices"][0]["delta"] |= first["choices"][0]["delta"]
        return f"data: {orjson.dumps(last).decode()}\n\n"

    return re.sub(pattern, join, body)


VARIATIONS: dict[str, Callable[[], Variation]] = {
    "creation answers 200": lambda: Variation(_answer_created_with_200),
    "deletion answers 200 with a body": lambda: Variation(_answer_deletion_with_body),
    "the list of keys has no total": lambda: every_object(lambda m: m.pop("total", None), "/gateway/keys$"),
    "both views of the dashboard are filled": lambda: every_object(_fill_both_views, "/dashboard$"),
    "amounts have two places": lambda: every_object(_with_places(2)),
    "amounts have six places": lambda: every_object(_with_places(6)),
    "a disabled key is inactive": lambda: every_object(_call_disabled_inactive),
    "the console has more members": lambda: every_object(_add_members, "^/api/"),
    "the data plane has more members": lambda: every_object(_add_members, "^/v1"),
    "errors have more members": lambda: every_object(_add_members, lowest=400, below=600),
    "a member differs in each answer": _add_counter,
    "every delta has the role": lambda: every_object(_repeat_role, "/chat/completions$"),
    "nulls are left out": lambda: every_object(_leave_out_nulls),
    "members come in another order": lambda: every_object(_reverse_members, below=600),
    "bodies come in small pieces": lambda: Variation(chunk=61),
    "answers take longer": lambda: Variation(seconds=0.015),
    "ids have another form": lambda: every_object(_change_ids),
    "header names have capitals": lambda: headers(lambda h: {name.title(): value for name, value in h.items()}),
    "there are more headers": lambda: headers(lambda h: {**h, "via": "1.1 proxy", "cache-control": "no-store"}),
    "request ids have another form": lambda: headers(
        lambda h: {**h, "x-request-id": h["x-request-id"].replace("req_", "id.")} if "x-request-id" in h else h
    ),
    "content types name the charset": lambda: headers(
        lambda h: {n: v if n != "content-type" or ";" in v else f"{v}; charset=UTF-8" for n, v in h.items()}
    ),
    "streams have comments": lambda: text(
        lambda body: ": keep-alive\n\n" + body.replace("\n\n", "\n\n: ping\n\n"), streams=True
    ),
    "streams have CRLF": lambda: text(lambda body: body.replace("\n", "\r\n"), streams=True),
    "streams have event ids": lambda: text(
        lambda body: body.replace("data:", "id: 7\nretry: 3000\ndata:"), streams=True
    ),
    "data has no space": lambda: text(lambda body: body.replace("data: ", "data:"), streams=True),
    "the end has text": lambda: text(_join_last_pieces, streams=True),
    "JSON is indented": lambda: text(
        lambda body: orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode(), streams=False
    ),
    "JSON is escaped": lambda: text(_escape_text, streams=False),
    "times have microseconds": lambda: every_object(_add_microseconds),
    "times have an offset": lambda: text(lambda body: re.sub(r'(\d\d:\d\d:\d\d)Z"', r'\1+00:00"', body), streams=False),
    "messages are in German": lambda: every_object(_change_messages, lowest=400, below=600),
    "the first call waits": lambda: _limit_first(retry_after="1"),
    "the first call says when": lambda: _limit_first(message="Rate limit reached. Please try again in 1 seconds."),
}
"""Name → what makes the variation; some keep state, so each gateway needs its own."""
