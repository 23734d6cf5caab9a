"""What a law is. The laws are in `laws/`, the table of all of them in `laws/__init__.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from aione_mock.checker.client import MISSING_CREDENTIALS
from aione_mock.checker.context import LawContext
from aione_mock.checker.exchange import HttpExchange
from aione_mock.checker.finding import BrokenLaw, LawResults
from aione_mock.contract import Operation

Need = Literal["key", "token", "business_token", "other_token", "access_secret", "writes", "local"]


@dataclass(frozen=True, slots=True)
class Law:
    """A law that sends requests of its own. The contract's `x-laws` says how it is known and which figures it needs.

    `check` yields what is broken and what could not be checked; all other operations keep the law. The first
    paragraph of its docstring says what a gateway has to do; reports show it.
    """

    name: str
    title: str
    check: Callable[[LawContext], LawResults]
    operations: tuple[str, ...]
    area: str
    needs: tuple[Need, ...] = ()
    together: bool = False
    """Whether operations of several protocols are checked in one go; otherwise one protocol after the other."""
    paid: int = 0
    """Most paid calls."""
    extra_cost: Callable[[LawContext], Decimal] | None = None
    """RMB for calls to models that are not the cheapest, for the estimate."""

    @property
    def sentence(self) -> str:
        """What a gateway has to do."""
        return _read_first_paragraph(self.check)


@dataclass(frozen=True, slots=True)
class ExchangeRule:
    """A law that is checked for every exchange of the run."""

    name: str
    title: str
    check: Callable[[Operation, HttpExchange], Iterable[BrokenLaw]]
    area: str = "conformance"
    streams: bool = False
    """Whether it is about event streams alone: no other answer keeps or breaks it."""

    @property
    def sentence(self) -> str:
        """What a gateway has to do."""
        return _read_first_paragraph(self.check)

    def covers(self, operation: Operation) -> bool:
        """Return whether an answer of an operation can break it."""
        return not self.streams or operation.stream is not None

    def applies(self, exchange: HttpExchange) -> bool:
        """Return whether an answer shows that it is kept or broken."""
        return not self.streams or exchange.is_event_stream


def _read_first_paragraph(check: Callable[..., object]) -> str:
    return " ".join((check.__doc__ or "").strip().split("\n\n")[0].split())


MISSING_NEEDS: dict[str, str] = {
    **MISSING_CREDENTIALS,
    "writes": "it creates, changes and deletes keys (--allow-writes)",
    "local": "it sends very large bodies, which is done to local servers only",
}
"""Need of a law → why the law is not checked without it."""


def explain_missing(law: Law, context: LawContext) -> str:
    """Return why a law cannot be checked with the given options; empty if it can."""
    target = context.target
    given = {"writes": context.client.allow_writes, "local": target.is_local}
    missing = [need for need in law.needs if not given.get(need, getattr(target, need, None))]
    return "; ".join(context.client.rejected.get(need) or MISSING_NEEDS[need] for need in missing)
