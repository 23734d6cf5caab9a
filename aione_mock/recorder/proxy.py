"""The recording proxy: passes traffic on as it comes, measures it against the contract, and keeps it on a cassette."""

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
from aione_mock.recorder import contract_check
from aione_mock.recorder.cassette import Answered, Asked, Interaction, Recording, grouped, header
from aione_mock.recorder.json_style import Splitter
from aione_mock.recorder.redaction import Redactor
from aione_mock.recorder.upstream import Upstream, answer_headers, hops, said
from aione_mock.seed import Seed
from aione_mock.types import Headers

Tell = Callable[[str], None]
T = TypeVar("T")
_log = logging.getLogger("aione_mock")
_REQUESTS = Seed.of("recorded request")
_LARGEST = 256 << 20
"""Bytes of a request body."""


class Recorder:
    """An ASGI application in front of a gateway."""

    def __init__(
        self,
        contract: Contract,
        upstream: str,
        recording: Recording,
        *,
        redact: bool = False,
        tell: Tell = lambda line: None,
        slow: float = 10.0,
        patience: float = 600.0,
    ) -> None:
        """`slow`: seconds of silence that are worth a word; `patience`: seconds of silence after which it gives up."""
        self.contract, self.recording, self.tell, self.slow = contract, recording, tell, slow
        self.upstream = Upstream(upstream, patience)
        self.redactor = Redactor(contract, contents=redact)
        self._errors = ErrorRenderer(contract)
        self.count = 0
        self.wrong = 0
        self._under_way: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._passed(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            # made here, because reading the certificates would make the first exchange slow
            self.upstream.open()
            await send({"type": f"{message['type']}.complete"})
        if self._under_way:
            # their clients are gone by now, so that they only have to be written down
            await asyncio.wait(self._under_way, timeout=1)
        await self.upstream.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, early = b"", None  # type: tuple[bytes, APIError | None]
        try:
            body = await asgi.read_body(asgi.announced_length(scope["headers"]), receive, _LARGEST)
        except Disconnected:
            return
        except APIError as failure:
            early = failure
        passage, task = _Passage(self, scope, receive, send, body), asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            await passage.run(early)
        finally:
            # also when the server stops in the middle: what has come so far is kept
            passage.left.cancel()
            self._under_way.discard(task)
            self._keep(passage)

    def _keep(self, passage: _Passage) -> None:
        operation = passage.operation
        if operation is not None and operation.protocol == "control":
            return
        interaction = passage.interaction()
        found = [*passage.notes, *self._findings(interaction)]
        kept = self.redactor.interaction(Interaction(*_parts(interaction), tuple(found)))
        self.count, self.wrong = self.count + 1, self.wrong + bool(found)
        try:
            self.recording.add(kept)
        except OSError as error:
            self.tell(f"  NOT RECORDED: cannot write '{self.recording.path}': {error.strerror or error}")
        for line in _lines(self.count, kept):
            self.tell(line)

    def _findings(self, interaction: Interaction) -> list[str]:
        try:
            request, response = interaction.request, interaction.response
            asked = contract_check.request_findings(self.contract, request)
            return asked + contract_check.response_findings(self.contract, request, response)
        except Exception:
            # whatever an upstream sends, it is passed on and kept
            _log.exception("bug while inspecting an exchange")
            return ["the recorder has a bug here; its log has the details"]

    def learn(self, asked: Asked) -> None:
        """Know the credentials of a request, also in what was written before."""
        for secret in self.redactor.learn(asked.headers, asked.query):
            try:
                self.recording.scrub(secret, self.redactor.text(secret))
            except OSError as error:
                self.tell(f"  cannot mask a credential in '{self.recording.path}': {error.strerror or error}")

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


def _parts(interaction: Interaction) -> tuple[Asked, Answered, float, float]:
    return interaction.request, interaction.response, interaction.first, interaction.total


def _lines(number: int, kept: Interaction) -> list[str]:
    """What is said of an exchange while it is recorded."""
    asked, answered = kept.request, kept.response
    size = f"{len(answered.body)} bytes" if answered.events is None else f"{len(answered.events)} events"
    what = asked.operation or "unknown"
    head = f"{number:>4}  {answered.status}  {what}  {asked.method} {asked.path}  {size}  {kept.total:.3f} s"
    return [head, *[f"      wrong: {finding}" for finding in kept.findings]]


class _Passage:
    """One exchange on its way through."""

    def __init__(self, recorder: Recorder, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        self.recorder, self.scope, self.send = recorder, scope, send
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.left: asyncio.Future[None] = asyncio.ensure_future(_leaving(receive))
        self.raw_path = asgi.read_raw_path(scope)
        self.asked = self._asked(body)
        self.operation, _ = contract_check.locate(recorder.contract, self.asked.method, self.asked.path)
        self.protocol = self.operation.protocol if self.operation else recorder.contract.find_protocol(self.asked.path)
        self.notes: list[str] = []
        self.status, self.headers = 0, ()  # type: tuple[int, Headers]
        self.chunks: list[tuple[float, bytes]] = []
        self.first = 0.0
        self.end: Literal["finish", "cut"] = "cut"
        recorder.learn(self.asked)

    def _asked(self, body: bytes) -> Asked:
        _, path = asgi.split_session(self.raw_path)
        headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.scope["headers"]])
        gone = {*hops(headers), "host"}
        kept = grouped(tuple([(name, value) for name, value in headers if name not in gone]))
        method, query = self.scope["method"], self.scope["query_string"].decode("latin-1")
        operation, _ = contract_check.locate(self.recorder.contract, method, path)
        return Asked(operation.id if operation else None, method, path, query, kept, body)

    async def run(self, early: APIError | None) -> None:
        """Ask, and pass on whatever comes."""
        try:
            if early is not None:
                raise early
            await self._relay(await self._unless_left(self._ask()))
        except Disconnected:
            self.notes.append("the client left before the answer was whole")
        except asyncio.CancelledError:
            self.notes.append("the recorder was stopped before the answer was whole")
            raise
        except APIError as failure:
            self.notes.append(failure.message)
            self.status, self.headers, answer = self.recorder.render_error(self.operation, self.protocol, failure)
            self.end = "finish"
            await self._start()
            await self._forward(answer)
            await self.send({"type": "http.response.body", "body": b""})

    async def _ask(self) -> httpx2.Response:
        asked, query = self.asked, self.scope["query_string"]
        return await self.recorder.upstream.ask(
            asked.method, self.raw_path.encode("latin-1"), query, self.scope["headers"], asked.body
        )

    async def _relay(self, response: httpx2.Response) -> None:
        try:
            self.status, self.headers = response.status_code, grouped(answer_headers(response))
            self.first = self._elapsed()
            await self._start()
            await self._body(response)
        finally:
            await response.aclose()

    async def _start(self) -> None:
        await self.send(
            {"type": "http.response.start", "status": self.status, "headers": asgi.raw_headers(self.headers)}
        )

    async def _body(self, response: httpx2.Response) -> None:
        """Chunk for chunk; when the gateway breaks off, so does the answer here."""
        try:
            async for chunk in self._arriving(response):
                await self._forward(chunk)
        except httpx2.TimeoutException:
            self.notes.append(f"answer: silent for {self.recorder.upstream.patience:g} s, given up")
        except httpx2.DecodingError:
            self.notes.append("answer: the body is not in the encoding that its header names")
        except httpx2.TransportError as error:
            self.notes.append(f"answer: broken off by the upstream: {said(error)}")
        else:
            self.end = "finish"
            await self.send({"type": "http.response.body", "body": b""})
            return
        await self._break_off()

    async def _arriving(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        arriving = response.aiter_bytes().__aiter__()
        while True:
            since = self._elapsed()
            chunk = await self._unless_left(_next(arriving))
            self._note_silence(since)
            if chunk is None:
                return
            yield chunk

    def _note_silence(self, since: float) -> None:
        silent = self._elapsed() - (since if self.chunks else 0.0)
        if silent >= self.recorder.slow:
            self.notes.append(f"answer: silent for {silent:.1f} s {'in between' if self.chunks else 'at first'}")

    async def _forward(self, chunk: bytes) -> None:
        self.chunks.append((self._elapsed(), chunk))
        self.first = self.first or self._elapsed()
        await self.send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _break_off(self) -> None:
        connection = self.scope.get("extensions", {}).get(CONNECTION)
        if connection is not None:
            connection.transport.close()
            await asyncio.wait({self.left}, timeout=5)

    async def _unless_left(self, coming: Coroutine[Any, Any, T]) -> T:
        """What comes. Raises Disconnected when the client leaves first."""
        task = asyncio.ensure_future(coming)
        both: set[asyncio.Future[Any]] = {task, self.left}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            task.cancel()
            await asyncio.wait({task})
            raise Disconnected
        finally:
            task.cancel()

    def _elapsed(self) -> float:
        return round(self.loop.time() - self.began, 4)

    def interaction(self) -> Interaction:
        """What is known of the exchange so far."""
        body = b"".join([chunk for _, chunk in self.chunks])
        kind = (header(self.headers, "content-type") or "").partition(";")[0].strip().lower()
        events = tuple(self._events()) if kind == STREAM else None
        encoding = header(self.headers, "content-encoding")
        if encoding and encoding.strip().lower() != "identity":
            # nothing in it can be masked, so nothing of it is kept
            self.notes.append(f"answer: the body came in the encoding '{encoding}' and is not kept")
            body, events = b"", None
        answered = Answered(self.status or 502, self.headers, body, events, self.end)
        return Interaction(self.asked, answered, self.first, self._elapsed())

    def _events(self) -> list[tuple[float, bytes]]:
        splitter = Splitter()
        found = [(at, raw) for at, chunk in self.chunks for raw in splitter.feed(chunk)]
        last = self.chunks[-1][0] if self.chunks else 0.0
        return found + [(last, raw) for raw in splitter.feed(b"", final=True)]


async def _next(arriving: AsyncIterator[bytes]) -> bytes | None:
    return await anext(arriving, None)


async def _leaving(receive: Receive) -> None:
    """Ends when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
