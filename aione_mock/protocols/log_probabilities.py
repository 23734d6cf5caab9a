"""Log probabilities of tokens: made up, but below zero, descending, and the same whenever a token is."""

from __future__ import annotations

import math


def ranked(token: str, count: int) -> list[tuple[str, float]]:
    """(token, log probability) of the token itself and of up to `count` - 1 others, the likeliest first."""
    # a function of the token alone, so that streamed and plain agree
    value = -round(math.log1p(sum(token.encode()) % 97 / 40), 6) or -0.000001
    bare = token.strip()
    others = [bare + "s", " " + bare, bare.upper(), *map(str, range(20))]
    return [(text, round(value - rank, 6)) for rank, text in enumerate([token, *others][:count])]
