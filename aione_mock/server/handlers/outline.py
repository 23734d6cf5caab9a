"""Answers to calls that differ from others in their words alone: what is always the same is worked out once.

An outline says, byte for byte, what `chat` says without it. It is made only where it does so for the call at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import orjson

from aione_mock.model import answers, prompt_cache, prose, tokens, topic
from aione_mock.model.topic import Topic
from aione_mock.protocols.stencil import Sheet, Spelled, encoded
from aione_mock.server.journal import clean, short
from aione_mock.server.sessions import Session
from aione_mock.structs import replace
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Call, Completion, EventStream, Finish, Prompt, Reply, StreamReply, Turn, Usage

_HOLE = "\0"
_ENCODED_HOLE = orjson.dumps(_HOLE)
_FINISHES: tuple[Finish, ...] = ("stop", "length")


class Outline:
    """What the answers to a user's last words have in common."""

    __slots__ = ("_after", "_before", "_model", "_most", "_room", "_sheets", "_streamed", "_tokens")

    def __init__(self, prompt: Prompt, model: Model, spell: Callable[[Completion], Spelled]) -> None:
        """Raises ValueError for a prompt whose last words cannot be told from the rest."""
        opened = saying(prompt, _HOLE)
        self._before, self._after = answers.conversation_key(opened).split(_ENCODED_HOLE)
        self._tokens = answers.count_prompt_tokens(opened) - tokens.count(_HOLE)
        self._model, self._most = model.id, prompt.max_tokens
        # long prompts are cached, which depends on what was asked before
        self._room = min(prompt_cache.MINIMUM - 1, model.context_length - (prompt.max_tokens or 0))
        self._sheets = {finish: Sheet(spell, model.id, finish) for finish in _FINISHES}
        self._streamed = self._sheets["stop"].streamed

    def reply(self, call: Call, session: Session) -> Reply | StreamReply | None:
        """The answer to a call, or nothing where more has to be looked at."""
        words = call.words
        about, heard = _heard(topic.alike(words))
        if about.literal:
            about = topic.about(words)
        counted = self._tokens + heard
        if counted > self._room or not words:
            return None
        chance = session.seed.hashed(b"words", self._before + orjson.dumps(words) + self._after)
        pieces, length, finish, safe = _said(about, prose.number(chance), self._most, self._streamed)
        usage = Usage(counted, length)
        said = self._sheets[finish].filled(call.token, int(call.at), pieces, usage)
        if self._streamed:
            return StreamReply(EventStream(said), usage=usage, model=self._model, clean=safe and short(said))
        return Reply(said, usage=usage, model=self._model, clean=safe)


@lru_cache(1024)
def _heard(alike: str) -> tuple[Topic, int]:
    """What messages that are much alike are about, unless that is literal, and how many tokens each has."""
    return topic.about(alike), tokens.count(alike)


@lru_cache(1024)
def _said(about: Topic, number: int, most: int | None, apart: bool) -> tuple[tuple[bytes, ...], int, Finish, bool]:
    """A variant of an answer, at most so many tokens of it, as JSON, each token `apart` or all in one.

    With the number of its tokens, why it ends, and whether there is no credential in it.
    """
    whole = prose.variant(about, number)
    said = whole if most is None else whole[:most]
    text = orjson.dumps("".join(said))
    pieces = tuple(map(encoded, said)) if apart else (text,)
    return pieces, len(said), "stop" if len(said) == len(whole) else "length", clean(text)


def saying(prompt: Prompt, words: str) -> Prompt:
    """The prompt with other last words."""
    return replace(prompt, turns=(*prompt.turns[:-1], Turn("user", words)))


def fits(prompt: Prompt, model: Model, words: str) -> bool:
    """Whether the answer to a prompt is prose about a user's last words, and nothing else."""
    plain = prompt.n == 1 and prompt.format == "text" and not (prompt.tools or prompt.reasoning or prompt.stops)
    return plain and prompt.turns[-1] == Turn("user", words) and not model.has_ability("image_output")
