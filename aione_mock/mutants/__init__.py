"""Mutants: deliberately wrong variants of the mock, which prove the checker and other people's tests.

`aione-mock mutants` lists them, `aione-mock serve --mutant NAME` runs one.
"""

from __future__ import annotations

from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.mutants import access, chat, console, modelrouter, streams
from aione_mock.mutants.mutation import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for area in (streams.MUTANTS, chat.MUTANTS, access.MUTANTS, console.MUTANTS, modelrouter.MUTANTS)
    for mutant in area
}


def find(name: str) -> Mutant:
    """The mutant of that name. Raises ConfigError with the nearest."""
    if name not in MUTANTS:
        raise ConfigError(f"unknown mutant '{name}'{did_you_mean(name, MUTANTS)}; `aione-mock mutants` lists them")
    return MUTANTS[name]


__all__ = ["MUTANTS", "Mutant", "Mutation", "find"]
