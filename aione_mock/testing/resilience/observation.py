"""What a client did, and what it may do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import orjson

from aione_mock.testing.calls import RecordedCall


@dataclass(frozen=True, slots=True)
class Observation:
    """What a client did in one run."""

    calls: tuple[RecordedCall, ...]
    result: str = ""
    """What it returned or printed, as text."""
    error: str | None = None
    """The exception or exit code with which it ended; None if it reported no error."""
    timed_out: bool = False
    """Whether it had to be abandoned."""
    seconds: float = 0.0
    log: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the client finished without an error."""
        return self.error is None and not self.timed_out

    @property
    def answer(self) -> str:
        """Text of the last answer that had any."""
        return next((call.text for call in reversed(self.calls) if call.text.strip()), "")

    @property
    def most_repeated(self) -> int:
        """The number of times that the most repeated request was sent."""
        return max(Counter(map(_request_key, self.calls)).values(), default=0)

    def list_repetitions(self) -> Iterator[tuple[RecordedCall, float]]:
        """Yield each call that was sent again, and the seconds until then."""
        groups: dict[bytes, list[RecordedCall]] = {}
        for call in self.calls:
            groups.setdefault(_request_key(call), []).append(call)
        for group in groups.values():
            yield from ((first, later.at - first.at) for first, later in pairwise(group))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a client may do."""

    patience: float = 10.0
    """Seconds within which it must give up on a silent gateway."""
    attempts: int = 5
    """How often it may send the same request."""
    secret: str = ""
    """The API key, which no log may contain."""


def _request_key(call: RecordedCall) -> bytes:
    return orjson.dumps([call.method, call.path, call.body], option=orjson.OPT_SORT_KEYS)


def collapse_whitespace(text: str) -> str:
    """Return the text with a single space in place of each run of whitespace."""
    return " ".join(text.split())
