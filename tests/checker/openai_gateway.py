"""A gateway of a team: OpenAI's chat, plain and streamed, its list of models, one key, and 500 for odd bodies."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "my-team-key-123456"
MODELS = ("tiny-large", "tiny-small")
WORDS = "Hello from a tiny gateway .".split()


class OpenAIGateway:
    """The application, and what it was asked: method, path with query, and body."""

    def __init__(self, delay: Random | None = None) -> None:
        """With a `delay`, each answer takes a random time."""
        self.asked: list[tuple[str, str, bytes]] = []
        self._delay, self._ids = delay, itertools.count(1)
        routes = [
            Route("/v1/models", self._list_models),
            Route("/v1/models/{model}", self._show_model),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
        ]
        self._app = Starlette(routes=routes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        self.asked.append((request.method, str(request.url).removeprefix(str(request.base_url)), body))
        if self._delay is not None:
            await asyncio.sleep(self._delay.choice((0, 0, 0.002, 0.02)))
        response = self._refuse(request)
        if response is not None:
            await response(scope, receive, send)
            return

        rest = [{"type": "http.request", "body": body}]

        async def receive_again() -> Any:
            return rest.pop() if rest else await receive()

        await self._app(scope, receive_again, send)

    def _refuse(self, request: Request) -> Response | None:
        known = request.url.path.startswith("/v1/")
        if not known or request.headers.get("authorization") == f"Bearer {KEY}":
            return None
        return _error(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key")

    async def _list_models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": list(map(_describe_model, MODELS))})

    async def _show_model(self, request: Request) -> Response:
        model = request.path_params["model"]
        return JSONResponse(_describe_model(model)) if model in MODELS else _refuse_model(model)

    async def _complete(self, request: Request) -> Response:
        body = await request.body()
        try:
            return self._answer(json.loads(body))
        except Exception:  # an odd body
            return _error(500, "Internal Server Error", "server_error", None)

    def _answer(self, question: Any) -> Response:
        model, prompt = question["model"], sum(len(str(each["content"]).split()) for each in question["messages"])
        if model not in MODELS:
            return _refuse_model(model)
        usage = {"prompt_tokens": prompt, "completion_tokens": len(WORDS), "total_tokens": prompt + len(WORDS)}
        head = {"id": f"chatcmpl-{next(self._ids)}", "created": 1_750_000_000, "model": model}
        if question.get("stream"):
            wanted = (question.get("stream_options") or {}).get("include_usage")
            return StreamingResponse(_stream(head, usage if wanted else None), media_type="text/event-stream")
        message = {"role": "assistant", "content": " ".join(WORDS), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


def _describe_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "team"}


def _refuse_model(name: str) -> Response:
    return _error(404, f"The model '{name}' does not exist.", "invalid_request_error", "model_not_found")


def _error(status: int, message: str, kind: str, code: str | None) -> Response:
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)


def _stream(head: dict[str, Any], usage: dict[str, Any] | None) -> Iterator[str]:
    chunk = {**head, "object": "chat.completion.chunk"}
    deltas = [{"role": "assistant", "content": ""}, *({"content": f"{word} "} for word in WORDS)]
    for delta in deltas:
        yield _format({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _format({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        yield _format({**chunk, "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def _format(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"
