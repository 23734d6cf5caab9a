"""An answer spelled out once, with blanks for what differs whenever it is given: its ids and its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from aione_mock.determinism import Seed
from aione_mock.exchange import Choice, Completion, Events
from aione_mock.values import frozen

Spelled = bytes | Events
"""A plain answer's body, or the events of a stream."""
CALL_ID = 24
"""Letters of a tool call's id; a completion has its call's token."""
_BLANKS = Seed.of("blank")
_ID = _BLANKS.token(29, "id")
_CREATED = 1_000_000_007
_ESCAPE = b"\\u00"


def named(choices: Sequence[Choice], name: Callable[[int, int], str]) -> tuple[Choice, ...]:
    """The choices with ids for their tool calls: `name` of the choice's place and the call's place in it."""
    return tuple(
        replace(
            choice,
            tool_calls=tuple([replace(call, id=name(index, place)) for place, call in enumerate(choice.tool_calls)]),
        )
        if choice.tool_calls
        else choice
        for index, choice in enumerate(choices)
    )


@frozen
class Stencil:
    """What an answer says, but for its ids and its time."""

    said: Spelled
    calls: tuple[tuple[bytes, int, int], ...]
    """The blank of each tool call's id, its choice's place, and its place in it."""

    @classmethod
    def of(cls, completion: Completion, asked: bytes, spell: Callable[[Completion], Spelled]) -> Stencil | None:
        """The stencil of a completion; None where what was `asked` could make the answer hold a blank of its own."""
        if _ID.encode() in asked or _ESCAPE in asked:
            return None
        blanks = {
            (index, place): _BLANKS.token(CALL_ID, "call", index, place)
            for index, choice in enumerate(completion.choices)
            for place in range(len(choice.tool_calls))
        }
        choices = named(completion.choices, lambda index, place: blanks[index, place])
        said = spell(replace(completion, id=_ID, created=_CREATED, choices=choices))
        return cls(said, tuple([(blank.encode(), *where) for where, blank in blanks.items()]))

    def filled(self, identity: str, created: int, name: Callable[[int, int], str]) -> Spelled:
        """The answer under these ids, made at this time (Unix seconds, of ten digits)."""
        said = self.said
        raw = said if isinstance(said, bytes) else said.raw
        raw = raw.replace(_ID.encode(), identity.encode()).replace(
            b'"created":%d' % _CREATED, b'"created":%d' % created
        )
        for blank, index, place in self.calls:
            raw = raw.replace(blank, name(index, place).encode())
        return raw if isinstance(said, bytes) else said.refilled(raw)


def fits(created: int) -> bool:
    """Whether a time is as long as the blank for it, as all are from 2001 to 2286."""
    return 10**9 <= created < 10**10
