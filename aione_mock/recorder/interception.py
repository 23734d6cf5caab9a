"""What may stand between a client and the upstream: scenarios that answer, delay or change exchanges, and a journal.

The proxy knows only these protocols; `server.proxy` implements them with the scenarios of the mock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aione_mock.asgi import Receive, Scope, Send
from aione_mock.recorder.cassette import RecordedResponse, RecordedScenario
from aione_mock.types import RawHeaders, Response


@dataclass(frozen=True, slots=True)
class InterceptedAnswer:
    """What a client gets in place of the upstream's answer."""

    recorded: RecordedResponse
    """The answer without faults and pace."""
    sent: Response


class Interception(Protocol):
    """One exchange, from its request to the end of its answer."""

    @property
    def path(self) -> str:
        """The path to forward, percent-encoded."""

    @property
    def headers(self) -> RawHeaders:
        """The request headers to forward, hop-by-hop ones included."""

    @property
    def delay(self) -> float:
        """Seconds to wait before the upstream is asked."""

    @property
    def needs_whole_answer(self) -> bool:
        """Whether the answer is changed, so that it has to be read to its end first."""

    @property
    def scenario(self) -> RecordedScenario | None:
        """What was done to the exchange, as far as it is known."""

    async def answer(self) -> InterceptedAnswer | None:
        """Return the answer if the upstream is not asked."""

    def change(self, response: RecordedResponse, elapsed: float) -> Response:
        """Return what the client gets in place of a response of the upstream, read whole `elapsed` seconds after."""

    async def send_response(self, response: Response, receive: Receive, send: Send) -> None:
        """Send a response. `receive` tells when the client disconnects."""

    async def commit(self, response: RecordedResponse) -> None:
        """Enter the exchange in the journal, with the response of the upstream unless another one was sent."""

    def release(self, elapsed: float) -> None:
        """End the exchange: its answer is sent, or its client has disconnected."""


class Interceptor(Protocol):
    """What a proxy asks about each request."""

    def owns(self, path: str) -> bool:
        """Return whether a request is for the interceptor itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of its own."""

    async def intercept(self, scope: Scope, body: bytes) -> Interception:
        """Return what happens to a request."""

    def set_draining(self, draining: bool) -> None:
        """Note whether the server shuts down, and then end the streams that would last as long as their readers."""
