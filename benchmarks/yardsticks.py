"""Applications that the mock is compared with: constant bytes on bare uvicorn, and a plain Starlette route.

uvicorn benchmarks.yardsticks:bare
uvicorn benchmarks.yardsticks:route
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PATH = "/v1/chat/completions"
EVENTS = 64
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-0123456789abcdefghijklmnopqrs",
    "object": "chat.completion",
    "created": 1767225600,
    "model": "gpt-5.4",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Words of an answer, thirty of them or so. " * 4},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 23, "completion_tokens": 34, "total_tokens": 57},
}
_BODY = orjson.dumps(ANSWER)
_CHUNK = {
    "id": ANSWER["id"],
    "object": "chat.completion.chunk",
    "created": ANSWER["created"],
    "model": ANSWER["model"],
    "choices": [{"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}],
}
_EVENT = b"data: " + orjson.dumps(_CHUNK) + b"\n\n"
_JSON_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())],
}
_SSE_START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answer with constant bytes. `/sse` sends 64 events one by one; `/sse/flush` waits until each is written."""
    if scope["type"] != "http":
        return
    if scope["path"] == PATH:
        await send(_JSON_START)
        await send({"type": "http.response.body", "body": _BODY})
        return
    await send(_SSE_START)
    flush = scope["path"] == "/sse/flush"
    for _ in range(EVENTS):
        await send({"type": "http.response.body", "body": _EVENT, "more_body": True})
        if flush:
            await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def _route(request: Request) -> Response:
    orjson.loads(await request.body())
    return Response(orjson.dumps(ANSWER), media_type="application/json")


route = Starlette(routes=[Route(PATH, _route, methods=["POST"])])
