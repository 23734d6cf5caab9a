"""What a law is. The laws themselves stand in `laws/`, and the table of all of them in `laws/__init__.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from aione_mock.checker.context import LawContext
from aione_mock.checker.finding import BrokenLaw, SkippedOperation
from aione_mock.checker.traffic import HttpExchange
from aione_mock.contract import Operation

Need = Literal["key", "token", "business_token", "other_token", "access_secret", "writes", "local"]
LawResults = Iterator[BrokenLaw | SkippedOperation]


@dataclass(frozen=True, slots=True)
class Law:
    """A law that asks questions of its own.

    `check` yields what is broken and what could not be looked at; whatever it does not mention is kept. The sentence
    of the contract that it enforces is the first paragraph of its docstring.
    """

    name: str
    title: str
    check: Callable[[LawContext], LawResults]
    operations: tuple[str, ...]
    needs: tuple[Need, ...] = ()
    evidence: str = "documented"
    """`assumed` makes every finding an assumption mismatch; otherwise the contract's evidence of the operation
    decides.
    """
    paid: int = 0
    """Paid calls that it makes at most."""
    dear: Callable[[LawContext], Decimal] | None = None
    """RMB that calls to other models than the cheapest may cost, for the estimate."""
    area: str = ""

    @property
    def sentence(self) -> str:
        """What the contract says."""
        return sentence(self.check)


@dataclass(frozen=True, slots=True)
class ExchangeRule:
    """A law held against every exchange of the run, whoever made it."""

    name: str
    title: str
    check: Callable[[Operation, HttpExchange], Iterable[BrokenLaw]]
    evidence: str = "documented"
    area: str = "conformance"

    @property
    def sentence(self) -> str:
        """What the contract says."""
        return sentence(self.check)


def sentence(check: Callable[..., object]) -> str:
    """The first paragraph of a function's docstring, on one line."""
    return " ".join((check.__doc__ or "").strip().split("\n\n")[0].split())


MISSING: dict[str, str] = {
    "key": "no API key was given (--key)",
    "token": "no console token was given (--token)",
    "business_token": "no business token was given (--business-token)",
    "other_token": "no token of a second organisation was given (--other-token)",
    "access_secret": "no access key was given (--access-key, --access-secret)",
    "writes": "it creates, changes and deletes keys (--allow-writes)",
    "local": "it sends very large bodies, which only a server on this machine is asked to take",
}
"""Why a law is not checked, by what is missing."""


def missing(law: Law, context: LawContext) -> str:
    """Why a law cannot be checked with what was given; empty when it can."""
    target = context.target
    has = {"writes": context.client.writes, "local": target.local}
    lacks = [need for need in law.needs if not has.get(need, getattr(target, need, None))]
    return "; ".join(MISSING[need] for need in lacks)
