"""Log probabilities of tokens. They are made up, but negative, descending, and always the same for a token."""

from __future__ import annotations

import math


def rank_tokens(token: str, count: int) -> list[tuple[str, float]]:
    """Return a token and up to `count` - 1 alternatives, each with its log probability, the likeliest first."""
    # depends only on the token, so that streamed and plain answers agree
    first = -round(math.log1p(sum(token.encode()) % 97 / 40), 6) or -0.000001
    bare = token.strip()
    alternatives = [bare + "s", " " + bare, bare.upper(), *map(str, range(20))]
    return [(text, round(first - rank, 6)) for rank, text in enumerate([token, *alternatives][:count])]
