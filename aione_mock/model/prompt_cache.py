"""Prompt caching: a long beginning seen before in the session costs the cached price.

Assumed: a prefix of whole turns counts from 1,024 tokens on, as OpenAI documents for its own cache;
Anthropic's breakpoints say where a prefix may end.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from aione_mock.model import answers
from aione_mock.seed import Seed
from aione_mock.store import Store
from aione_mock.structs import replace
from aione_mock.types import Prompt, Usage

MINIMUM = 1024
"""Tokens of the shortest prefix worth keeping."""
LIFETIME = 300.0
"""Seconds on the session's clock for which a prefix is remembered."""
_ENDS = 64
"""Prefixes of one prompt that are looked at, from either end: conversations grow at the end and share beginnings."""
_HASH = Seed.of("prompt-cache")


async def measure(prompt: Prompt, usage: Usage, store: Store, now: float) -> Usage:
    """The usage with its cached and, with breakpoints, newly written prompt tokens; remembers the prefixes."""
    if usage.prompt < MINIMUM:
        return usage
    ends = list(_prefixes(prompt))
    cached, fresh = 0, []
    for length, place in ends[:_ENDS] + ends[max(_ENDS, len(ends) - _ENDS) :]:
        if (await store.window(place, now, LIFETIME)).totals[0]:
            cached = length
        else:
            fresh.append(place)
    for place in fresh:
        await store.window(place, now, LIFETIME, (1, 0))
    written = ends[-1][0] - cached if ends and any(turn.cache for turn in prompt.turns) else 0
    return replace(usage, cached=min(cached, usage.prompt), cache_write=max(0, written))


def _prefixes(prompt: Prompt) -> Iterator[tuple[int, str]]:
    """(tokens, key in the store) of every prefix that may be cached, the shortest first."""
    marked = any(turn.cache for turn in prompt.turns)
    digest = orjson.dumps((prompt.model, [(t.name, t.description, t.schema) for t in prompt.tools]))
    length = 0
    for turn in prompt.turns:
        length += answers.count_turn_tokens(turn)
        digest = _HASH.digest(digest, orjson.dumps(answers.turn_key(turn)))
        if length >= MINIMUM and (turn.cache or not marked):
            yield length, f"seen/{digest.hex()}"
