"""Run the pipeline with one mutant: it changes requests and answers of some operations."""

from __future__ import annotations

from typing import Any

from aione_mock.asgi import encode_headers
from aione_mock.errors import APIError
from aione_mock.mutants.mutant import Mutant, MutantRequest, MutantResponse
from aione_mock.server.journal import Exchange
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.request import Request
from aione_mock.types import Response


class MutatedPipeline:
    """Answer requests like the pipeline, changed by one mutant."""

    def __init__(self, pipeline: Pipeline, mutant: Mutant) -> None:
        self._pipeline, self._mutant = pipeline, mutant
        self._memory: dict[Any, Any] = {}

    async def respond(self, exchange: Exchange) -> Response:
        """Answer a request; only the operations of the mutant are changed, and never the control API."""
        request, wanted = exchange.request, self._mutant.operations
        operation = self._pipeline.contract.match(request.path).operations.get(request.method)
        if operation is None or operation.protocol == "control" or (wanted and operation.id not in wanted):
            return await self._pipeline.respond(exchange)
        try:
            await request.read_body(self._pipeline.settings.max_body)
        except APIError:
            return await self._pipeline.respond(exchange)
        query, body = request.query.encode("latin-1"), request.body or b""
        changed = self._mutant.request(
            MutantRequest(operation, request.method, request.path, query, request.headers, body, self._memory)
        )
        exchange.request = Request(
            changed.method, changed.path.encode("latin-1"), changed.query, changed.headers, changed.body, request.client
        )
        exchange.request.session_name, exchange.request.mount_path = request.session_name, request.mount_path
        response = await self._pipeline.respond(exchange)
        if response.raw or not response.status:
            return response
        whole = b"".join([data for _, data in response.sends])
        original = MutantResponse(response.status, tuple(encode_headers(response.headers)), whole)
        answer = self._mutant.response(original, changed)
        headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers])
        due = response.sends[-1][0] if response.sends else 0.0
        return Response(answer.status, headers, ((due, answer.body),), response.end)
