"""Choose the cases of the coverage phase: of each operation a fixed number, however fast the gateway is."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice, zip_longest
from typing import Any

from aione_mock.seed import Seed

_MAX_READ = 300
"""Cases of an operation that are looked at. A large body has thousands."""


def choose_cases(cases: Iterable[Any], most: int, seed: Seed) -> list[Any]:
    """Return at most `most` cases of an operation, in their order.

    Each kind of case and each parameter has its turn before another one has two. The seed decides which come first.
    """
    numbered = list(enumerate(islice(cases, _MAX_READ)))
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, case in _shuffle(numbered, seed):
        groups.setdefault(_find_group(case), []).append(number)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    chosen = set(islice((number for number in turns if number is not None), most))
    return [case for number, case in numbered if number in chosen]


def _shuffle(numbered: Iterable[tuple[int, Any]], seed: Seed) -> list[tuple[int, Any]]:
    return sorted(numbered, key=lambda pair: seed.digest(str(pair[0])))


def _find_group(case: Any) -> tuple[Any, ...]:
    meta = case._meta  # `meta` would validate the case again, before its request is prepared
    data = meta.phase.data
    return meta.generation.mode, data.scenario, data.parameter_location, data.parameter
