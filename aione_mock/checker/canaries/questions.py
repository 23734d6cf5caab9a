"""The questions of a run: each with a mark of its own, spread over protocols, plain and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, product

from aione_mock.checker.protocols import ChatProtocol, ChatQuestion
from aione_mock.text.canaries import make_mark

_MAX_TOKENS = 400
"""Enough for every answer of the mock in words."""
_TOPICS = (
    "Why do cats purr?",
    "What makes a good summary of a long meeting, and who should write it?",
    "How does one plan a garden?",
    "Explain what a queue is, with an example from daily life, to somebody who has never written a program.",
    "Which questions should a traveller ask before a long journey by train?",
)
"""Of different lengths."""


@dataclass(frozen=True, slots=True)
class MarkedQuestion:
    """One call to make."""

    mark: str
    text: str
    protocol: ChatProtocol
    stream: bool

    @property
    def chat(self) -> ChatQuestion:
        """The question as protocols write it."""
        return ChatQuestion(self.text, max_tokens=_MAX_TOKENS, stream=self.stream)

    @property
    def kind(self) -> str:
        """How it is asked, in words."""
        return f"{self.protocol.name}, {'streamed' if self.stream else 'plain'}"


def make_questions(
    run: str, count: int, protocols: Sequence[ChatProtocol], streams: Sequence[bool], first: int = 1
) -> Iterator[MarkedQuestion]:
    """Yield `count` questions, each protocol and way in turn.

    `run` has eight hexadecimal digits, `first` is the number in the first mark.
    """
    kinds = islice(cycle(product(protocols, streams)), count)
    for number, (protocol, stream) in enumerate(kinds, start=first):
        mark = make_mark(run, number)
        yield MarkedQuestion(mark, f"{mark}: {_TOPICS[number % len(_TOPICS)]}", protocol, stream)
