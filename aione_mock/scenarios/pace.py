"""Pace responses: time to first token, tokens per second, jitter and slow responses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random  # noqa: TID251  (only the type; the draws come from a Seed)
from typing import Any

from aione_mock.seed import Seed
from aione_mock.structs import frozen, replace


@frozen
class Pace:
    """How fast a response is sent, in seconds before any time scale.

    With `jitter` 0.3 each gap between tokens differs by up to 30 % either way, evenly distributed. `tail` is the
    spread (sigma) of a log-normal factor on the whole response: its median is 1, one response in a hundred takes
    exp(2.33 × tail) times as long. Real services have 0.2 to 0.5.
    """

    ttft: float = 0.0
    tps: float | None = None
    """Tokens per second after the first; None means all at once."""
    jitter: float = 0.0
    tail: float = 0.0

    def change(self, changes: Mapping[str, Any], realistic: Pace) -> Pace:
        """Return this pace with the members of a rule's or header's `pace`; `realistic` is the called model's pace."""
        start = {"instant": INSTANT, "realistic": realistic}.get(changes.get("profile", ""), self)
        return replace(start, **{name: value for name, value in changes.items() if name != "profile"})


INSTANT = Pace()


def make_realistic(ttft: float, tps: float) -> Pace:
    """Return the realistic pace of a model with these figures."""
    return Pace(ttft, tps, jitter=0.3, tail=0.25)


def schedule(weights: Sequence[int], pace: Pace, seed: Seed) -> tuple[float, ...]:
    """Return due times in seconds, ascending, for events of so many tokens each.

    The first event is due at the time to first token, each later one when its tokens have been generated. An event
    of weight 0 is due with the one before it.
    """
    if pace == INSTANT:
        return (0.0,) * len(weights)
    rng = seed.create_random("pace")
    factor = _draw_slowness(pace.tail, rng)
    due, dues = pace.ttft * factor, []
    for position, weight in enumerate(weights):
        if position and weight and pace.tps:
            due += weight / pace.tps * factor * (1.0 + pace.jitter * (2.0 * rng.random() - 1.0))
        dues.append(round(due, 6))
    return tuple(dues)


def _draw_slowness(tail: float, rng: Random) -> float:
    # Box and Muller's log-normal draw, because only `random()` is the same in every Python
    radius = math.sqrt(-2.0 * math.log(1.0 - rng.random()))
    normal = radius * math.cos(2.0 * math.pi * rng.random())
    return math.exp(tail * normal)
