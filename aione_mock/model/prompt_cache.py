"""Count prompt tokens that a prompt cache would serve.

Assumed: a prefix of whole turns is cached from 1,024 tokens on, as OpenAI documents for its own cache. Anthropic's
breakpoints say where a prefix may end.
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
"""Tokens of the shortest prefix that is cached."""
LIFETIME = 300.0
"""Seconds on the session's clock for which a prefix is cached."""
_MAX_PREFIXES = 64
"""Prefixes of one prompt that are looked up from either end: conversations share beginnings and grow at the end."""
_HASH = Seed.of("prompt-cache")


async def count_cached_tokens(prompt: Prompt, usage: Usage, store: Store, now: float) -> Usage:
    """Return the usage with its cached and, with breakpoints, newly written tokens. Remember the prompt's prefixes."""
    if usage.prompt < MINIMUM:
        return usage
    prefixes = [*_list_prefixes(prompt)]
    looked_up = prefixes[:_MAX_PREFIXES] + prefixes[max(_MAX_PREFIXES, len(prefixes) - _MAX_PREFIXES) :]
    seen = await store.touch([key for _, key in looked_up], now, LIFETIME)
    cached = max([length for (length, _), known in zip(looked_up, seen, strict=True) if known], default=0)
    has_breakpoints = any(turn.cache for turn in prompt.turns)
    written = prefixes[-1][0] - cached if prefixes and has_breakpoints else 0
    return replace(usage, cached=min(cached, usage.prompt), cache_write=max(0, written))


def _list_prefixes(prompt: Prompt) -> Iterator[tuple[int, str]]:
    """Yield the tokens and the key in the store of every prefix that may be cached, the shortest first."""
    has_breakpoints = any(turn.cache for turn in prompt.turns)
    digest = orjson.dumps((prompt.model, [(tool.name, tool.description, tool.schema) for tool in prompt.tools]))
    length = 0
    for turn in prompt.turns:
        length += answers.count_turn_tokens(turn)
        digest = _HASH.digest(digest, orjson.dumps(answers.turn_key(turn)))
        if length >= MINIMUM and (turn.cache or not has_breakpoints):
            yield length, f"seen/{digest.hex()}"
