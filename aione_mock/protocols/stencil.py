"""An answer spelled out once, with blanks for what differs whenever it is given: its ids and its time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import orjson

from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.types import Choice, Completion, EventStream, Finish, TokenText, Usage

Spelled = bytes | EventStream
"""A plain answer's body, or the events of a stream."""
CALL_ID = 24
"""Letters of a tool call's id; a completion has its call's token."""
TIMES = range(10**9, 10**10)
"""Times (Unix seconds) that are as long as the blank for them: those from 2001 to 2286."""
_BLANKS = Seed.of("blank")
_ID = _BLANKS.draw_token(29, "id")
_CREATED = 1_000_000_007
_ID_BYTES, _CREATED_BYTES = _ID.encode(), b'"created":%d' % _CREATED
_TRIAL, _TRIAL_TOKEN, _TRIAL_TIME = Seed.of("trial"), Seed.of("trial").draw_token(29), 1_234_567_899
_USAGE = Usage(711_111_117, 122_222_221)
_HOLE = "\0"
_ENCODED_HOLE = orjson.dumps(_HOLE)
_PLACES = {
    _ID_BYTES: b"%(id)b",
    b"%d" % _CREATED: b"%(created)d",
    _ENCODED_HOLE: b"%(text)b",
    b"%d" % _USAGE.prompt: b"%(prompt)d",
    b"%d" % _USAGE.completion: b"%(completion)d",
    b"%d" % _USAGE.total: b"%(total)d",
}
"""What stands in a blank answer for id, time, text and tokens, and how these are formatted."""
_TRIALS = (("a",), ("two ", "of"), ("them, ", "all", " ") * 20)
"""Answers by which a sheet is tried."""
_PLACE = re.compile(b"|".join(map(re.escape, _PLACES)))
encoded = lru_cache(maxsize=16384)(orjson.dumps)
"""JSON of a piece of text; a few thousand words make up most answers."""


def _blank(index: int, place: int) -> str:
    return _BLANKS.draw_token(CALL_ID, "call", index, place)


def named(choices: tuple[Choice, ...], name: Callable[[int, int], str]) -> tuple[Choice, ...]:
    """The choices with ids for their tool calls: `name` of the choice's place and the call's place in it."""
    if not any(choice.tool_calls for choice in choices):
        return choices
    return tuple([_named(choice, index, name) for index, choice in enumerate(choices)])


def _named(choice: Choice, index: int, name: Callable[[int, int], str]) -> Choice:
    calls = tuple([replace(call, id=name(index, place)) for place, call in enumerate(choice.tool_calls)])
    return replace(choice, tool_calls=calls)


def call_id(seed: Seed, token: str, index: int, place: int) -> str:
    """The id of a tool call: that at a place of a choice, in the answer to the call that `token` belongs to."""
    return seed.draw_token(CALL_ID, "tool", token, index, place)


def _raw(said: Spelled) -> bytes:
    return said if isinstance(said, bytes) else said.raw


class Stencil:
    """What an answer says, but for its ids and its time."""

    __slots__ = ("_calls", "_created", "_pieces", "_said", "clean", "size")

    def __init__(
        self,
        spell: Callable[[Completion], Spelled],
        model: str,
        choices: tuple[Choice, ...],
        usage: Usage,
        clean: Callable[[Spelled], bool],
    ) -> None:
        """`spell`: what makes a completion JSON, or events; `clean`: whether no credential is in it.

        Raises ValueError for an answer that holds what looks like one of our blanks.
        """
        said = self._said = spell(Completion(_ID, _CREATED, model, named(choices, _blank), usage))
        self.clean, self.size = clean(said), len(_raw(said))
        # the blank of each tool call's id, its choice's place, and its place in it
        places = [(index, place) for index, choice in enumerate(choices) for place in range(len(choice.tool_calls))]
        self._calls = [(_blank(*place).encode(), *place) for place in places]
        self._created, self._pieces = 0, [b""]
        ids = partial(call_id, _TRIAL, _TRIAL_TOKEN)
        asked = spell(Completion(_TRIAL_TOKEN, _TRIAL_TIME, model, named(choices, ids), usage))
        if _raw(self.filled(_TRIAL_TOKEN, _TRIAL_TIME, _TRIAL)) != _raw(asked):
            raise ValueError("the answer holds a blank of its own")

    def filled(self, token: str, created: int, seed: Seed) -> Spelled:
        """The answer under a call's ids, made at this time, one of `TIMES`."""
        said = self._said
        if created != self._created:
            # cut apart once a second, since all answers of a second differ in their ids alone
            pieces = _raw(said).replace(_CREATED_BYTES, b'"created":%d' % created).split(_ID_BYTES)
            self._created, self._pieces = created, pieces
        raw = token.encode().join(self._pieces)
        for blank, index, place in self._calls:
            raw = raw.replace(blank, call_id(seed, token, index, place).encode())
        return raw if isinstance(said, bytes) else said.refilled(raw)


class Sheet:
    """An answer of one choice with blanks for its text and its tokens too."""

    __slots__ = ("_between", "_form", "streamed")

    def __init__(self, spell: Callable[[Completion], Spelled], model: str, finish: Finish) -> None:
        """`spell`: what makes a completion JSON, or events. Raises ValueError where it does not repeat itself."""
        choice = Choice(TokenText.of([_HOLE]), finish=finish)
        said = spell(Completion(_ID, _CREATED, model, (choice,), _USAGE))
        self.streamed = isinstance(said, EventStream)
        self._form, self._between = _form(_raw(said)), b""
        if isinstance(said, EventStream):
            (event,) = [event for event in said if _ENCODED_HOLE in event]
            before, after = event.split(_ENCODED_HOLE)
            self._between = _form(after + before)
        for pieces in _TRIALS:
            # one piece alone may look as if all were spelled alike
            trial = Completion(
                _ID, _CREATED, model, (Choice(TokenText.of(pieces), finish=finish),), Usage(3, len(pieces))
            )
            texts = [*map(encoded, pieces)] if self.streamed else [orjson.dumps("".join(pieces))]
            if self.filled(_ID, _CREATED, texts, trial.usage) != _raw(spell(trial)):
                raise ValueError("pieces are not all spelled alike")

    def filled(self, token: str, created: int, pieces: Sequence[bytes], usage: Usage) -> bytes:
        """The answer under a call's ids; `pieces`: JSON of its text, or of the text of each event."""
        known = {
            b"id": token.encode(),
            b"created": created,
            b"prompt": usage.prompt,
            b"completion": usage.completion,
            b"total": usage.prompt + usage.completion,
        }
        known[b"text"] = (self._between % known).join(pieces) if self.streamed else pieces[0]
        return self._form % known


def _form(raw: bytes) -> bytes:
    """Bytes with the blanks of `_PLACES`, to be formatted."""
    return _PLACE.sub(lambda found: _PLACES[found[0]], raw.replace(b"%", b"%%"))


def around(spell: Callable[[str], bytes]) -> tuple[bytes, bytes]:
    """What `spell` puts before and behind the JSON of a text, whatever the text."""
    before, after = spell(_HOLE).split(_ENCODED_HOLE)
    return before, after


def quote(text: TokenText) -> list[bytes]:
    """Return each token as a JSON string."""
    return [b'"%b"' % piece for piece in text.encoded]


def alike(text: TokenText, spell: Callable[[str], bytes]) -> bytes:
    """Return what `spell` makes of each token. It is called once, since only the token differs."""
    if not text:
        return b""
    before, after = around(spell)
    return before + (after + before).join(quote(text)) + after
