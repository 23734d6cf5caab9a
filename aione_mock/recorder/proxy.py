"""The recording proxy: forward traffic as it arrives, check it against the contract, and store it on a cassette."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Literal, TypeVar

import httpx2
import orjson

from aione_mock import asgi
from aione_mock.asgi import CONNECTION, Disconnected, Receive, Scope, Send
from aione_mock.contract import STREAM, Contract, Operation
from aione_mock.errors import APIError
from aione_mock.protocols.errors import ErrorRenderer
from aione_mock.recorder.cassette import (
    CassetteWriter,
    Interaction,
    RecordedEvent,
    RecordedRequest,
    RecordedResponse,
    RecordedTiming,
)
from aione_mock.recorder.contract_check import check_request, check_response, find_operation
from aione_mock.recorder.json_style import EventSplitter
from aione_mock.recorder.redaction import Redactor
from aione_mock.recorder.upstream import Upstream, describe_error, list_forwarded_headers, list_hop_by_hop
from aione_mock.seed import Seed
from aione_mock.types import Headers

T = TypeVar("T")
_log = logging.getLogger("aione_mock")
_REQUESTS = Seed.of("recorded request")
_MAX_BODY_BYTES = 256 << 20


class Recorder:
    """An ASGI application that records the traffic to a gateway."""

    def __init__(
        self,
        contract: Contract,
        upstream: str,
        writer: CassetteWriter,
        *,
        redact: bool = False,
        report: Callable[[str], None] = lambda line: None,
        slow: float = 10.0,
        timeout: float = 600.0,
    ) -> None:
        """Silence of `slow` seconds is reported, silence of `timeout` seconds ends an exchange."""
        self.contract, self.writer, self.report, self.slow = contract, writer, report, slow
        self.upstream = Upstream(upstream, timeout)
        self.redactor = Redactor(contract, contents=redact)
        self._errors = ErrorRenderer(contract)
        self.count = 0
        """Exchanges recorded."""
        self.violating = 0
        """Exchanges with findings."""
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._handle_request(scope, receive, send)

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            # opened here, because loading the certificates would slow down the first exchange
            self.upstream.open()
            await send({"type": f"{message['type']}.complete"})
        if self._running:
            # their clients are gone by now, so they only have to be stored
            await asyncio.wait(self._running, timeout=1)
        await self.upstream.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, rejection = b"", None  # type: tuple[bytes, APIError | None]
        try:
            body = await asgi.read_body(asgi.announced_length(scope["headers"]), receive, _MAX_BODY_BYTES)
        except Disconnected:
            return
        except APIError as error:
            rejection = error
        exchange, task = _ProxiedExchange(self, scope, receive, send, body), asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await exchange.run(rejection)
        finally:
            # also when the server stops in between: what has arrived so far is stored
            exchange.disconnected.cancel()
            self._running.discard(task)
            self._store(exchange)

    def _store(self, exchange: _ProxiedExchange) -> None:
        if exchange.operation is not None and exchange.operation.protocol == "control":
            return
        request, response, timing = exchange.request, exchange.make_response(), exchange.make_timing()
        findings = (*exchange.notes, *self._find_violations(request, response))
        interaction = self.redactor.redact_interaction(
            Interaction(request=request, response=response, findings=findings, timing=timing)
        )
        self.count, self.violating = self.count + 1, self.violating + bool(findings)
        try:
            self.writer.add(interaction)
        except OSError as error:
            self.report(f"  NOT RECORDED: cannot write '{self.writer.path}': {error.strerror or error}")
        for line in _describe_interaction(self.count, interaction):
            self.report(line)

    def _find_violations(self, request: RecordedRequest, response: RecordedResponse) -> list[str]:
        try:
            return check_request(self.contract, request) + check_response(self.contract, request, response)
        except Exception:
            # whatever an upstream sends, it is forwarded and stored
            _log.exception("bug while checking an exchange")
            return ["the recorder has a bug here; its log has the details"]

    def learn_credentials(self, request: RecordedRequest) -> None:
        """Learn the credentials of a request, and mask them in what is stored already."""
        for secret in self.redactor.learn_credentials(request.headers, request.query):
            try:
                self.writer.mask(secret, self.redactor.mask_text(secret))
            except OSError as error:
                self.report(f"  cannot mask a credential in '{self.writer.path}': {error.strerror or error}")

    def render_error(self, operation: Operation | None, protocol: str, error: APIError) -> tuple[int, Headers, bytes]:
        """Return status, headers and body of an error of the proxy itself."""
        request_id = "req_" + _REQUESTS.digest(self.count, error.message, size=12).hex()
        # not every protocol declares failures of an upstream; the status is the one that others declare
        status = next(spec.status for (_, name), spec in self.contract.errors.items() if name == error.name)
        if self._errors.find(protocol, operation, error.name) is None:
            error = APIError("internal_error", error.message, headers=error.headers)
        reply = self._errors.render(protocol, operation, error, request_id)
        body = orjson.dumps(reply.body)
        head = (("content-type", "application/json"), ("content-length", str(len(body))), ("x-request-id", request_id))
        return status, (*head, *reply.headers), body


def _describe_interaction(number: int, interaction: Interaction) -> list[str]:
    """Return the lines that report an exchange while it is recorded."""
    request, response, total = interaction.request, interaction.response, interaction.timing.total
    operation, size = request.operation or "unknown", response.describe_size()
    head = f"{number:>4}  {response.status}  {operation}  {request.method} {request.path}  {size}  {total:.3f} s"
    return [head, *[f"      wrong: {finding}" for finding in interaction.findings]]


class _ProxiedExchange:
    """One exchange on its way through the proxy."""

    def __init__(self, recorder: Recorder, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        self.recorder, self.scope, self.send = recorder, scope, send
        self.loop = asyncio.get_running_loop()
        self.started = self.loop.time()
        self.disconnected: asyncio.Future[None] = asyncio.ensure_future(_wait_for_disconnect(receive))
        self.raw_path = asgi.read_raw_path(scope)
        _, path = asgi.split_session(self.raw_path)
        self.operation, _ = find_operation(recorder.contract, scope["method"], path)
        self.protocol = self.operation.protocol if self.operation else recorder.contract.find_protocol(path)
        self.request = self._make_request(path, body)
        self.notes: list[str] = []
        self.status, self.headers = 0, ()  # type: tuple[int, Headers]
        self.chunks: list[tuple[float, bytes]] = []
        self.first = 0.0
        self.end: Literal["finish", "cut"] = "cut"
        recorder.learn_credentials(self.request)

    def _make_request(self, path: str, body: bytes) -> RecordedRequest:
        headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.scope["headers"]])
        dropped = {*list_hop_by_hop(headers), "host"}
        return RecordedRequest(
            operation=self.operation.id if self.operation else None,
            method=self.scope["method"],
            path=path,
            query=self.scope["query_string"].decode("latin-1"),
            headers=tuple([pair for pair in headers if pair[0] not in dropped]),
            body=body,
        )

    async def run(self, rejection: APIError | None) -> None:
        """Forward the request, or reject it, and relay the response."""
        try:
            if rejection is not None:
                raise rejection
            await self._relay(await self._unless_disconnected(self._send_request()))
        except Disconnected:
            self.notes.append("the client disconnected before the answer was complete")
        except asyncio.CancelledError:
            self.notes.append("the recorder was stopped before the answer was complete")
            raise
        except APIError as error:
            self.notes.append(error.message)
            self.status, self.headers, body = self.recorder.render_error(self.operation, self.protocol, error)
            self.end = "finish"
            await self._send_head()
            await self._send_chunk(body)
            await self.send({"type": "http.response.body", "body": b""})

    async def _send_request(self) -> httpx2.Response:
        path, query = self.raw_path.encode("latin-1"), self.scope["query_string"]
        request = self.request
        return await self.recorder.upstream.send(request.method, path, query, self.scope["headers"], request.body)

    async def _relay(self, response: httpx2.Response) -> None:
        try:
            self.status, self.headers = response.status_code, list_forwarded_headers(response)
            self.first = self._measure_elapsed()
            await self._send_head()
            await self._relay_body(response)
        finally:
            await response.aclose()

    async def _send_head(self) -> None:
        headers = asgi.raw_headers(self.headers)
        await self.send({"type": "http.response.start", "status": self.status, "headers": headers})

    async def _relay_body(self, response: httpx2.Response) -> None:
        """Relay chunk by chunk. When the gateway breaks off, so does the response to the client."""
        try:
            async for chunk in self._read_chunks(response):
                await self._send_chunk(chunk)
        except httpx2.TimeoutException:
            self.notes.append(f"answer: no data for {self.recorder.upstream.timeout:g} s, aborted")
        except httpx2.DecodingError:
            self.notes.append("answer: the body is not in the encoding that its header names")
        except httpx2.TransportError as error:
            self.notes.append(f"answer: the upstream closed the connection: {describe_error(error)}")
        else:
            self.end = "finish"
            await self.send({"type": "http.response.body", "body": b""})
            return
        await self._close_connection()

    async def _read_chunks(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        chunks = response.aiter_bytes().__aiter__()
        while True:
            since = self._measure_elapsed()
            chunk = await self._unless_disconnected(_read_next(chunks))
            self._note_silence(since)
            if chunk is None:
                return
            yield chunk

    def _note_silence(self, since: float) -> None:
        silence = self._measure_elapsed() - (since if self.chunks else 0.0)
        if silence >= self.recorder.slow:
            place = "after its start" if self.chunks else "before its start"
            self.notes.append(f"answer: no data for {silence:.1f} s {place}")

    async def _send_chunk(self, chunk: bytes) -> None:
        self.chunks.append((self._measure_elapsed(), chunk))
        self.first = self.first or self._measure_elapsed()
        await self.send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _close_connection(self) -> None:
        connection = self.scope.get("extensions", {}).get(CONNECTION)
        if connection is not None:
            connection.transport.close()
            await asyncio.wait({self.disconnected}, timeout=5)

    async def _unless_disconnected(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the result of a coroutine. Raises Disconnected when the client leaves first."""
        task = asyncio.ensure_future(coroutine)
        both: set[asyncio.Future[Any]] = {task, self.disconnected}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            task.cancel()
            await asyncio.wait({task})
            raise Disconnected
        finally:
            task.cancel()

    def _measure_elapsed(self) -> float:
        return round(self.loop.time() - self.started, 4)

    def make_timing(self) -> RecordedTiming:
        """Return when the first byte arrived and how long the exchange has taken until now."""
        return RecordedTiming(first=self.first, total=self._measure_elapsed())

    def make_response(self) -> RecordedResponse:
        """Return the response as far as it has arrived."""
        response = RecordedResponse(status=self.status or 502, headers=tuple(self.headers), end=self.end)
        encoding = response.find_header("content-encoding")
        if encoding and encoding.strip().lower() != "identity":
            # nothing in it can be masked, so nothing of it is stored
            self.notes.append(f"answer: the body has the encoding '{encoding}' and is not stored")
            return response
        if response.media_type == STREAM:
            return response.model_copy(update={"events": tuple(self._split_events())})
        return response.model_copy(update={"body": b"".join([chunk for _, chunk in self.chunks])})

    def _split_events(self) -> list[RecordedEvent]:
        splitter = EventSplitter()
        found = [(at, raw) for at, chunk in self.chunks for raw in splitter.feed(chunk)]
        last = self.chunks[-1][0] if self.chunks else 0.0
        found += [(last, raw) for raw in splitter.feed(b"", final=True)]
        return [RecordedEvent(at=at, raw=raw) for at, raw in found]


async def _read_next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
