"""A small gateway as somebody may write one: OpenAI chat, plain and streamed, a list of models, one key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

TINY_KEY = "sk-tiny-gateway-0001"
_TEXT = "Sage, sand and sky"
_MODEL = "tiny-1"


def _fail(status: int, kind: str, code: str, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": kind, "code": code}}, status)


def _reject(request: Request) -> Response | None:
    if request.headers.get("authorization") == f"Bearer {TINY_KEY}":
        return None
    return _fail(401, "auth_error", "bad_key", "The key is wrong.")


async def _list_models(request: Request) -> Response:
    models = [{"id": _MODEL, "object": "model", "created": 1_750_000_000, "owned_by": "tiny"}]
    return _reject(request) or JSONResponse({"object": "list", "data": models})


async def _chat(request: Request) -> Response:
    try:
        return _reject(request) or _answer(orjson.loads(await request.body()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return PlainTextResponse("Internal Server Error", 500)


def _answer(body: Any) -> Response:
    if body["model"] != _MODEL:
        return _fail(404, "not_found", "no_model", "There is no such model.")
    if not isinstance(body["messages"], list):
        return _fail(400, "bad_request", "no_list", "The messages are no list.")
    words = [word for message in body["messages"] for word in str(message["content"]).split()]
    usage = {"prompt_tokens": len(words), "completion_tokens": 5, "total_tokens": len(words) + 5}
    base = {"id": "chatcmpl-tiny", "created": 1_750_000_000, "model": _MODEL}
    if body.get("stream"):
        asked = (body.get("stream_options") or {}).get("include_usage")
        return StreamingResponse(_stream(base, usage if asked else None), media_type="text/event-stream")
    message = {"role": "assistant", "content": _TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return JSONResponse({**base, "object": "chat.completion", "choices": [choice], "usage": usage})


async def _stream(base: dict[str, Any], usage: dict[str, int] | None) -> AsyncIterator[bytes]:
    chunk = {**base, "object": "chat.completion.chunk"}
    for word in _TEXT.split():
        choice = {"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}
        yield _event({**chunk, "choices": [choice]})
    yield _event({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        yield _event({**chunk, "choices": [], "usage": usage})


def _event(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def create_tiny_gateway() -> Starlette:
    """Return the gateway as an application."""
    routes = [Route("/v1/models", _list_models), Route("/v1/chat/completions", _chat, methods=["POST"])]
    return Starlette(routes=routes)
