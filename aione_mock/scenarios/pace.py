"""When each part of an answer comes: time to first token, tokens a second, jitter and slow days."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random  # noqa: TID251  (the type; the draws come from a Seed)
from typing import Any

from aione_mock.seed import Seed
from aione_mock.structs import frozen, replace


@frozen
class Pace:
    """How fast an answer comes, in seconds before any time scale.

    `jitter` 0.3 makes each gap between tokens differ by up to 30 % either way, evenly spread. `tail` is the spread
    (sigma) of a log-normal factor on the whole answer: its median is 1, one answer in a hundred takes
    exp(2.33 × tail) times as long, and as few are that much faster. Real services look like 0.2 to 0.5.
    """

    ttft: float = 0.0
    tps: float | None = None
    """Tokens a second after the first; None means all at once."""
    jitter: float = 0.0
    tail: float = 0.0

    def changed(self, change: Mapping[str, Any], realistic: Pace) -> Pace:
        """What a `Pace` of a rule or a header makes of this one; `realistic` are the figures of the model called."""
        start = {"instant": INSTANT, "realistic": realistic}.get(change.get("profile", ""), self)
        return replace(start, **{name: value for name, value in change.items() if name != "profile"})


INSTANT = Pace()
PROFILES = ("instant", "realistic")


def realistic(ttft: float, tps: float) -> Pace:
    """The pace of a model with these figures."""
    return Pace(ttft, tps, jitter=0.3, tail=0.25)


def schedule(weights: Sequence[int], pace: Pace, seed: Seed, scale: float = 1.0) -> tuple[float, ...]:
    """Due times in seconds, ascending, one for each event of so many tokens.

    The first event is due at the time to first token; each later one when its tokens have been made. Events of
    weight 0 come with the one before. `scale` divides all times; 10 is ten times as fast.
    """
    if pace == INSTANT:
        return (0.0,) * len(weights)
    rng = seed.create_random("pace")
    factor = _slowness(pace.tail, rng) / scale
    due, dues = pace.ttft * factor, []
    for position, weight in enumerate(weights):
        if position and weight and pace.tps:
            due += weight / pace.tps * factor * (1.0 + pace.jitter * (2.0 * rng.random() - 1.0))
        dues.append(round(due, 6))
    return tuple(dues)


def _slowness(tail: float, rng: Random) -> float:
    """A log-normal draw; Box and Muller's, because only `random()` is the same in every Python."""
    radius = math.sqrt(-2.0 * math.log(1.0 - rng.random()))
    normal = radius * math.cos(2.0 * math.pi * rng.random())
    return math.exp(tail * normal)
