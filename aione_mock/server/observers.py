"""Tell metrics and traces about calls of the gateway: when an answer begins, and when it has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, Protocol

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.structs import frozen
from aione_mock.types import Response

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange

P = ParamSpec("P")
_log = logging.getLogger("aione_mock")


@frozen
class Delivery:
    """How an answer was sent. Times are Unix seconds of the system."""

    response: Response
    started: float
    """When the call was received."""
    first: float | None
    """When the first byte of the body was sent: the end for an answer that is sent whole, None if nothing was sent."""
    ended: float
    sent: bool
    """Whether the client received the answer to its end."""


class Observer(Protocol):
    """What is told of every call. Nothing it raises reaches the client."""

    def start_answer(self, exchange: Exchange) -> None:
        """Note that an answer is known and about to be sent."""

    def finish_call(self, exchange: Exchange, delivery: Delivery) -> None:
        """Note that a call has ended."""

    def flush(self) -> None:
        """Hand on what is held back, before the server ends."""


class WatchedCall:
    """One call, and those who are told of it. They are told of no call of the control API or of the page."""

    def __init__(self, observers: Sequence[Observer], exchange: Exchange, started: float) -> None:
        self._observers, self._exchange, self._started = observers, exchange, started
        self._first: float | None = None
        self._response: Response | None = None

    def start_answer(self, response: Response) -> None:
        """Note that the answer is known."""
        exchange = self._exchange
        if exchange.protocol != "control":
            self._response = response
            for observer in self._observers:
                _guard(observer.start_answer, exchange)

    def note_first_byte(self) -> None:
        """Note that the first byte of the body is sent."""
        self._first = SYSTEM_CLOCK.timestamp()

    def finish(self, *, sent: bool) -> None:
        """Note the end of the call."""
        if self._response is None:
            return
        ended, whole = SYSTEM_CLOCK.timestamp(), sent and self._response.end == "finish"
        first = ended if self._first is None and whole else self._first
        delivery = Delivery(self._response, self._started, first, ended, sent)
        for observer in self._observers:
            _guard(observer.finish_call, self._exchange, delivery)


def _guard(tell: Callable[P, None], *values: P.args, **options: P.kwargs) -> None:
    """Call an observer. A bug of it is logged; the call it was told of goes on."""
    try:
        tell(*values, **options)
    except Exception as error:
        _log.error("bug in %s", getattr(tell, "__qualname__", tell), exc_info=error)
