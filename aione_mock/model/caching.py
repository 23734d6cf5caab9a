"""Prompt caching: a long beginning seen before in the session costs the cached price.

Assumed: a prefix of whole turns counts from 1,024 tokens on, as OpenAI documents for its own cache;
Anthropic's breakpoints say where a prefix may end.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from aione_mock.determinism import Seed
from aione_mock.exchange import Prompt, Usage
from aione_mock.model import composition
from aione_mock.store import Store

MINIMUM = 1024
"""Tokens of the shortest prefix worth keeping."""
LIFETIME = 300.0
"""Seconds on the session's clock for which a prefix is remembered."""
_HASH = Seed.of("prompt-cache")


async def measure(prompt: Prompt, usage: Usage, store: Store, now: float) -> Usage:
    """The usage with its cached and, with breakpoints, newly written prompt tokens; remembers the prefixes."""
    if usage.prompt < MINIMUM:
        return usage
    marked = any(turn.cache for turn in prompt.turns)
    digest = orjson.dumps((prompt.model, [(t.name, t.description, t.schema) for t in prompt.tools]))
    length, cached, longest = 0, 0, 0
    fresh: list[str] = []
    for turn in prompt.turns:
        length += composition.turn_tokens(turn)
        digest = _HASH.digest(digest, orjson.dumps(composition.turn_key(turn)))
        if length < MINIMUM or (marked and not turn.cache):
            continue
        longest = length
        place = f"seen/{digest.hex()}"
        if (await store.window(place, now, LIFETIME)).total:
            cached = length
        else:
            fresh.append(place)
    for place in fresh:
        await store.window(place, now, LIFETIME, 1)
    written = longest - cached if marked else 0
    return replace(usage, cached=min(cached, usage.prompt), cache_write=max(0, written))
