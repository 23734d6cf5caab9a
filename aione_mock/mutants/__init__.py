"""Mutants: deliberately wrong variants of the mock, which test the checker and other test suites.

`aione-mock mutants` lists them, `aione-mock serve --mutant NAME` runs one.
"""

from __future__ import annotations

from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.mutants import access, chat, console, embeddings, modelrouter, outages, responses, streams
from aione_mock.mutants.mutant import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for mutant in (
        *streams.MUTANTS,
        *chat.MUTANTS,
        *access.MUTANTS,
        *console.MUTANTS,
        *modelrouter.MUTANTS,
        *embeddings.MUTANTS,
        *responses.MUTANTS,
        *outages.MUTANTS,
    )
}


def find_mutant(name: str) -> Mutant:
    """Return the mutant with a name. Raises ConfigError that suggests a similar name."""
    if name not in MUTANTS:
        raise ConfigError(f"unknown mutant '{name}'{did_you_mean(name, MUTANTS)}; `aione-mock mutants` lists them")
    return MUTANTS[name]
