"""What a client did, and what is its measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import orjson

from aione_mock.testing.calls import RecordedCall


@dataclass(frozen=True, slots=True)
class Run:
    """What a client did in one trial."""

    calls: tuple[RecordedCall, ...]
    result: str = ""
    """What it returned or printed, as text."""
    error: str | None = None
    """What it raised, or how it ended; None if all went well in its own eyes."""
    timed_out: bool = False
    """Whether it had to be given up."""
    seconds: float = 0.0
    log: str = ""

    @property
    def content(self) -> bool:
        """Whether the client says that all is well."""
        return self.error is None and not self.timed_out

    @property
    def said(self) -> str:
        """What the model said in the last call that had words."""
        return next((call.text for call in reversed(self.calls) if call.text.strip()), "")

    @property
    def most_repeated(self) -> int:
        """How often the request that came most often came."""
        return max(Counter(map(same, self.calls)).values(), default=0)

    def gaps(self) -> Iterator[tuple[RecordedCall, float]]:
        """Each call that came again, and the seconds until it did."""
        groups: dict[bytes, list[RecordedCall]] = {}
        for call in self.calls:
            groups.setdefault(same(call), []).append(call)
        for group in groups.values():
            yield from ((first, later.at - first.at) for first, later in pairwise(group))


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the measure of a client."""

    patience: float = 10.0
    """Seconds within which it must give up on a gateway that is silent."""
    attempts: int = 5
    """How often it may send the same request."""
    secret: str = ""
    """The API key, which no log may hold."""


def same(call: RecordedCall) -> bytes:
    return orjson.dumps([call.method, call.path, call.body], option=orjson.OPT_SORT_KEYS)


def plain(text: str) -> str:
    """The text with each run of white space as one blank."""
    return " ".join(text.split())
