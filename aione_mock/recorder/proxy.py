"""The recording proxy: forward traffic as it arrives, check it against the contract, and store it on a cassette."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import orjson

from aione_mock import asgi
from aione_mock.asgi import Disconnected, Receive, Scope, Send
from aione_mock.contract import Contract, Operation
from aione_mock.errors import APIError
from aione_mock.protocols.errors import ErrorRenderer
from aione_mock.recorder.cassette import (
    CassetteWriter,
    Interaction,
    RecordedRequest,
    RecordedResponse,
    dump_interaction,
)
from aione_mock.recorder.contract_check import check_request, check_response
from aione_mock.recorder.interception import Interceptor
from aione_mock.recorder.proxied_exchange import ProxiedExchange
from aione_mock.recorder.redaction import Redactor
from aione_mock.recorder.upstream import Upstream
from aione_mock.seed import Seed
from aione_mock.text.escaping import escape_unprintable
from aione_mock.types import Headers

_log = logging.getLogger("aione_mock")
_REQUESTS = Seed.of("recorded request")
_MAX_BODY_BYTES = 256 << 20
_STORE_SECONDS = 30.0
"""Longest time that the end of a recording waits for exchanges to be stored."""


class Recorder:
    """An ASGI application that records the traffic to a gateway."""

    def __init__(
        self,
        contract: Contract,
        upstream: str,
        writer: CassetteWriter | None,
        *,
        interceptor: Interceptor | None = None,
        redact: bool = False,
        report: Callable[[str], None] = lambda line: None,
        slow: float = 10.0,
        timeout: float = 600.0,
    ) -> None:
        """Without a `writer` nothing is recorded. `interceptor` answers, delays and changes exchanges.

        Silence of `slow` seconds is reported, silence of `timeout` seconds ends an exchange.
        """
        self.contract, self.writer, self.report, self.slow = contract, writer, report, slow
        self.interceptor = interceptor
        self.upstream = Upstream(upstream, timeout)
        self.redactor = Redactor(contract, contents=redact)
        self._errors = ErrorRenderer(contract)
        self.count = 0
        """Exchanges recorded."""
        self.violating = 0
        """Exchanges with findings."""
        self.lost = 0
        """Exchanges that could not be written."""
        self._running: set[asyncio.Task[Any]] = set()
        self._unmasked: list[str] = []
        """Credentials that may still stand in the cassette."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            path = asgi.split_session(asgi.read_raw_path(scope))[1]
            if self.interceptor is not None and self.interceptor.owns(path):
                await self.interceptor(scope, receive, send)
            else:
                await self._handle_request(scope, receive, send)

    def set_draining(self, draining: bool) -> None:
        """Note whether the server shuts down, and then end the streams that would last as long as their readers."""
        if self.interceptor is not None:
            self.interceptor.set_draining(draining)

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            # opened here, because loading the certificates would slow down the first exchange
            self.upstream.open()
            await send({"type": f"{message['type']}.complete"})
        if self._running:
            # their clients are gone by now, so they only have to be stored
            await asyncio.wait(self._running, timeout=_STORE_SECONDS)
        await self.upstream.close()
        self.report(self.summarize())
        await send({"type": "lifespan.shutdown.complete"})

    async def _handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, rejection = b"", None  # type: tuple[bytes, APIError | None]
        try:
            body = await asgi.read_body(asgi.read_content_length(scope["headers"]), receive, _MAX_BODY_BYTES)
        except Disconnected:
            return
        except APIError as error:
            rejection = error
        interception = None if self.interceptor is None else await self.interceptor.intercept(scope, body)
        exchange, task = ProxiedExchange(self, scope, receive, send, body, interception), asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await exchange.run(rejection)
        finally:
            # also when the server stops in between: what has arrived so far is stored
            exchange.disconnected.cancel()
            await exchange.store()
            exchange.release()
            self._running.discard(task)

    async def store(self, exchange: ProxiedExchange) -> None:
        """Check an exchange, write it to the cassette and the journal, and report it.

        A large one is prepared in a thread of its own.
        """
        if exchange.operation is not None and exchange.operation.protocol == "control":
            return
        known = None
        while known != self.redactor.credentials:
            # again if a credential was learned meanwhile
            known = self.redactor.credentials
            if exchange.is_large:
                prepared = await asyncio.shield(asyncio.to_thread(self._prepare, exchange))
            else:
                prepared = self._prepare(exchange)
        response, interaction, text = prepared
        if exchange.interception is not None:
            await exchange.interception.commit(response)
        self._write(text, interaction)
        for line in _describe_interaction(self.count + self.lost, interaction):
            self.report(line)

    def _write(self, text: str, interaction: Interaction) -> None:
        try:
            self._mask_learned()
            if self.writer is not None:
                self.writer.append(text)
        except OSError as error:
            self.lost += 1
            self._report_failure("NOT RECORDED: cannot write", error)
        else:
            self.count, self.violating = self.count + 1, self.violating + bool(interaction.findings)

    def _report_failure(self, what: str, error: OSError) -> None:
        path = "" if self.writer is None else self.writer.path
        self.report(f"  {what} '{path}': {error.strerror or error}")

    def _prepare(self, exchange: ProxiedExchange) -> tuple[RecordedResponse, Interaction, str]:
        """Return the response of an exchange, the exchange as it may be stored, and the same as YAML."""
        request, notes = exchange.make_request()
        response, more = exchange.make_response()
        scenario = exchange.scenario
        own = response.from_proxy or (scenario is not None and scenario.answered)
        findings = (*exchange.notes, *notes, *more, *self._find_violations(request, None if own else response))
        timing = exchange.make_timing()
        interaction = self.redactor.redact_interaction(
            Interaction(request=request, response=response, scenario=scenario, findings=findings, timing=timing)
        )
        return response, interaction, "" if self.writer is None else dump_interaction(interaction)

    def summarize(self) -> str:
        """Return how many exchanges were recorded, and how many not."""
        wrong = f", {self.violating} of them with something wrong" if self.violating else ""
        lost = f"; {self.lost} NOT RECORDED" if self.lost else ""
        place = "passed" if self.writer is None else f"in {self.writer.path}"
        return f"{self.count} exchange{'' if self.count == 1 else 's'} {place}{wrong}{lost}"

    def _find_violations(self, request: RecordedRequest, response: RecordedResponse | None) -> list[str]:
        """Return how an exchange violates the contract. An answer that is not the gateway's own is None."""
        try:
            found = check_request(self.contract, request)
            return found if response is None else found + check_response(self.contract, request, response)
        except Exception:
            # whatever an upstream sends, it is forwarded and stored
            _log.exception("bug while checking an exchange")
            return ["the recorder has a bug here; its log has the details"]

    def learn_credentials(self, request: RecordedRequest) -> None:
        """Learn the credentials of a request, and mask them in what is stored already."""
        self._unmasked += self.redactor.learn_credentials(request.headers, request.query)
        try:
            self._mask_learned()
        except OSError as error:
            self._report_failure("cannot mask a credential yet in", error)

    def _mask_learned(self) -> None:
        """Mask learned credentials in the cassette. Raises OSError; nothing more is recorded until it works."""
        if self._unmasked:
            if self.writer is not None:
                self.writer.mask(self._unmasked)
            self._unmasked.clear()

    def render_refusal(self, path: str, status: int, message: str) -> tuple[Headers, bytes]:
        """Return headers and body for a request that HTTP refuses, in the envelope of its path."""
        return self._errors.render_refusal(path, status, message)

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
    more = [] if interaction.scenario is None else [f"      {interaction.scenario.describe()}"]
    more += [f"      wrong: {each}" for each in interaction.findings]
    return [escape_unprintable(line) for line in (head, *more)]
