"""One exchange on its way through the proxy: forwarded as it arrives, or answered or changed by a scenario."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpx2

from aione_mock import asgi
from aione_mock.asgi import CONNECTION, Disconnected, Receive, Scope, Send
from aione_mock.contract import STREAM
from aione_mock.errors import APIError
from aione_mock.recorder.cassette import (
    HEADER_CONTROLS,
    RecordedEvent,
    RecordedRequest,
    RecordedResponse,
    RecordedScenario,
    RecordedTiming,
)
from aione_mock.recorder.content_encoding import Chunks, decode_chunks, list_encodings
from aione_mock.recorder.contract_check import find_operation
from aione_mock.recorder.interception import InterceptedAnswer, Interception
from aione_mock.recorder.json_style import EventSplitter
from aione_mock.recorder.upstream import describe_error, list_forwarded_headers, list_hop_by_hop
from aione_mock.types import Headers, RawHeaders

if TYPE_CHECKING:
    from aione_mock.recorder.proxy import Recorder

T = TypeVar("T")
_LARGE_BYTES, _LARGE_COUNT = 64 << 10, 200
"""Exchanges of more bytes, or of more chunks and headers, are prepared in a thread."""
_BODILESS = (204, 304)


class ProxiedExchange:
    """One exchange on its way through the proxy."""

    def __init__(
        self,
        recorder: Recorder,
        scope: Scope,
        receive: Receive,
        send: Send,
        body: bytes,
        interception: Interception | None = None,
    ) -> None:
        self.recorder, self.scope, self.send, self.interception = recorder, scope, send, interception
        self.loop = asyncio.get_running_loop()
        self.started = self.loop.time()
        self.disconnected: asyncio.Future[None] = asyncio.ensure_future(asgi.wait_for_disconnect(receive))
        self.raw_path = asgi.read_raw_path(scope) if interception is None else interception.path
        self._forwarded: RawHeaders = scope["headers"] if interception is None else interception.headers
        _, path = asgi.split_session(self.raw_path)
        self.operation, _ = find_operation(recorder.contract, scope["method"], path)
        self.protocol = self.operation.protocol if self.operation else recorder.contract.find_protocol(path)
        self.body = body
        """As it arrived, perhaps compressed."""
        self.request = self._read_request(path)
        self.notes: list[str] = []
        self._stored = self._failed = False
        self.status, self.headers = 0, ()  # type: tuple[int, Headers]
        self.chunks: list[tuple[float, bytes]] = []
        self.first = 0.0
        self.end: Literal["finish", "cut"] = "cut"
        self.answer: InterceptedAnswer | None = None
        """The answer of the proxy itself."""
        recorder.learn_credentials(self.request)

    def _read_request(self, path: str) -> RecordedRequest:
        headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._forwarded])
        dropped = {*list_hop_by_hop(headers), "host"}
        return RecordedRequest(
            operation=self.operation.id if self.operation else None,
            method=self.scope["method"],
            path=path,
            query=self.scope["query_string"].decode("latin-1"),
            headers=tuple([pair for pair in headers if pair[0] not in dropped]),
            body=self.body,
        )

    async def run(self, rejection: APIError | None) -> None:
        """Forward the request, or reject it, and relay the response."""
        try:
            if rejection is not None:
                raise rejection
            if self.interception is None:
                await self._relay_response(await self._await_while_connected(self._send_request()))
            else:
                await self._run_intercepted(self.interception)
        except Disconnected:
            self.notes.append("the client disconnected before the answer was complete")
        except asyncio.CancelledError:
            self.notes.append("the recorder was stopped before the answer was complete")
            raise
        except APIError as error:
            self.notes.append(error.message)
            self._failed = True
            self.status, self.headers, body = self.recorder.render_error(self.operation, self.protocol, error)
            self.chunks, self.end = [(self._measure_elapsed(), body)], "finish"
            await self.store()
            await self._send_head(self.headers)
            await self.send({"type": "http.response.body", "body": body})

    async def _run_intercepted(self, interception: Interception) -> None:
        """Apply the scenario of the exchange."""
        self.answer = await interception.answer()
        if self.answer is not None:
            await self.store()
            await interception.send_response(self.answer.sent, self._receive, self.send)
            return
        if interception.delay:
            await self._await_while_connected(asyncio.sleep(interception.delay))
        response = await self._await_while_connected(self._send_request())
        if not interception.needs_whole_answer or self._has_no_body(response.status_code):
            await self._relay_response(response)
            return
        try:
            await self._read_whole(response)
        finally:
            await response.aclose()
        recorded, _ = self.make_response()
        changed = interception.change(recorded, self._measure_elapsed())
        await self.store()
        await interception.send_response(changed, self._receive, self.send)

    async def _receive(self) -> Any:
        # the body was received before
        await self.disconnected
        return {"type": "http.disconnect"}

    async def store(self) -> None:
        """Record the exchange, once. A client that has got the whole answer can rely on the recording of it."""
        if not self._stored:
            self._stored = True
            await self.recorder.store(self)

    @property
    def scenario(self) -> RecordedScenario | None:
        """What a scenario did to it."""
        return None if self.interception is None else self.interception.scenario

    def release(self) -> None:
        """End the exchange."""
        if self.interception is not None:
            self.interception.release(self._measure_elapsed())

    async def _send_request(self) -> httpx2.Response:
        path, query = self.raw_path.encode("latin-1"), self.scope["query_string"]
        return await self.recorder.upstream.send(self.request.method, path, query, self._forwarded, self.body)

    async def _relay_response(self, response: httpx2.Response) -> None:
        try:
            self._read_head(response)
            if self._has_no_body(self.status):
                self.end = "finish"
                await self.store()
                await self._send_head(self._headers_without_body())
                await self.send({"type": "http.response.body", "body": b""})
            else:
                await self._send_head(self.headers)
                await self._relay_body(response)
        finally:
            await response.aclose()

    def _read_head(self, response: httpx2.Response) -> None:
        self.status, self.headers = response.status_code, list_forwarded_headers(response)
        self.first = self._measure_elapsed()

    def _has_no_body(self, status: int) -> bool:
        return self.request.method == "HEAD" or status in _BODILESS

    def _headers_without_body(self) -> Headers:
        # a server must not announce a body that it does not send, except for HEAD
        dropped = () if self.request.method == "HEAD" else ("content-length",)
        return [pair for pair in self.headers if pair[0] not in dropped]

    async def _send_head(self, headers: Headers) -> None:
        # a server must not send control characters in a header
        clean = [(name, HEADER_CONTROLS.sub(" ", value)) for name, value in headers]
        await self.send({"type": "http.response.start", "status": self.status, "headers": asgi.encode_headers(clean)})

    async def _relay_body(self, response: httpx2.Response) -> None:
        """Relay chunk by chunk. When the gateway breaks off, so does the response to the client."""
        try:
            async for chunk, last in self._read_chunks(response):
                self.chunks.append((self._measure_elapsed(), chunk))
                if last:
                    self.end = "finish"
                    await self.store()
                await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx2.TransportError as error:
            self.notes.append(self._describe_break(error))
            await self._close_connection()
        else:
            self.end = "finish"
            await self.store()
            await self.send({"type": "http.response.body", "body": b""})

    async def _read_whole(self, response: httpx2.Response) -> None:
        """Read an answer to its end, or to where the gateway breaks off."""
        self._read_head(response)
        try:
            async for chunk, _ in self._read_chunks(response):
                self.chunks.append((self._measure_elapsed(), chunk))
        except httpx2.TransportError as error:
            self.notes.append(self._describe_break(error))
        else:
            self.end = "finish"

    def _describe_break(self, error: httpx2.TransportError) -> str:
        if isinstance(error, httpx2.TimeoutException):
            return f"answer: no data for {self.recorder.upstream.timeout:g} s, aborted"
        return f"answer: the upstream closed the connection: {describe_error(error)}"

    async def _read_chunks(self, response: httpx2.Response) -> AsyncIterator[tuple[bytes, bool]]:
        """Yield each chunk as it arrives, and whether the end of the response has arrived with it."""
        chunks = response.aiter_raw().__aiter__()
        length, received = response.headers.get("content-length", ""), 0
        since, following = 0.0, asyncio.ensure_future(_read_next(chunks))
        while (chunk := await self._await_while_connected(following)) is not None:
            self._note_silence(since)
            since, following = self._measure_elapsed(), asyncio.ensure_future(_read_next(chunks))
            received += len(chunk)
            # the task runs until it waits for the network
            await asyncio.sleep(0)
            ended = following.done() and following.exception() is None and following.result() is None
            yield chunk, ended or length == str(received)
        self._note_silence(since)

    def _note_silence(self, since: float) -> None:
        silence = self._measure_elapsed() - since
        if silence >= self.recorder.slow:
            place = "after its start" if self.chunks else "before its start"
            self.notes.append(f"answer: no data for {silence:.1f} s {place}")

    async def _close_connection(self) -> None:
        connection = self.scope.get("extensions", {}).get(CONNECTION)
        if connection is not None:
            connection.transport.close()
            await asyncio.wait({self.disconnected}, timeout=5)

    async def _await_while_connected(self, awaited: Awaitable[T]) -> T:
        """Return the result of an awaitable. Raises Disconnected when the client disconnects first."""
        task = asyncio.ensure_future(awaited)
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

    @property
    def is_large(self) -> bool:
        """Whether it takes so long to prepare that other exchanges would wait."""
        size = len(self.body) + sum([len(data) for _, data in self.chunks])
        return size > _LARGE_BYTES or len(self.chunks) + len(self.headers) > _LARGE_COUNT

    def make_request(self) -> tuple[RecordedRequest, list[str]]:
        """Return the request without content encodings, and what there is to say about them."""
        decoded, notes = _decode_body("request", self.request.headers, [(0.0, self.body)])
        decoded.pop("chunks")
        return self.request.model_copy(update=decoded), notes

    def make_response(self) -> tuple[RecordedResponse, list[str]]:
        """Return the response as far as it has arrived, without content encodings, and notes about them."""
        if self.answer is not None:
            return self.answer.recorded, []
        chunks = self.chunks
        response = RecordedResponse(
            status=self.status or 502, headers=tuple(self.headers), end=self.end, from_proxy=self._failed
        )
        decoded, notes = _decode_body("answer", response.headers, chunks)
        if self.status in _BODILESS and response.find_header("content-length") not in (None, "0"):
            notes.append(f"answer: a content-length, but a {self.status} has no body; it was not forwarded")
        for name in {name for name, value in self.headers if HEADER_CONTROLS.search(value)}:
            notes.append(f"answer: the header {name} holds control characters, which were not forwarded")
        if response.media_type == STREAM:
            decoded["events"], decoded["body"] = tuple(_split_events(decoded.pop("chunks"))), b""
        decoded.pop("chunks", None)
        return response.model_copy(update=decoded), notes


def _decode_body(message: str, headers: Headers, chunks: Chunks) -> tuple[dict[str, Any], list[str]]:
    """Return the headers, body and chunks of a message without its encodings.

    What cannot be decoded cannot be masked, so it is left out, which a note says.
    """
    encodings, notes = list_encodings(headers), []
    decoded = decode_chunks(chunks, encodings)
    if decoded is None:
        notes.append(
            f"{message}: the body has the encoding '{', '.join(encodings)}', cannot be decoded, and is not stored"
        )
        decoded = ()
    elif encodings:
        headers = tuple([pair for pair in headers if pair[0] not in ("content-encoding", "content-length")])
    return {"headers": headers, "body": b"".join([data for _, data in decoded]), "chunks": decoded}, notes


def _split_events(chunks: Chunks) -> list[RecordedEvent]:
    splitter = EventSplitter()
    found = [(at, raw) for at, chunk in chunks for raw in splitter.feed(chunk)]
    last = chunks[-1][0] if chunks else 0.0
    found += [(last, raw) for raw in splitter.feed(b"", final=True)]
    return [RecordedEvent(at=at, raw=raw) for at, raw in found]


async def _read_next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
