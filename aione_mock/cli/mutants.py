"""`aione-mock mutants`: list deliberately wrong variants of the mock."""

from __future__ import annotations

from typing import Annotated

import typer

from aione_mock.cli import terminal


def mutants(
    area: Annotated[str | None, typer.Option(help="List only the mutants of this area.")] = None,
    names: Annotated[bool, typer.Option("--names", help="Print only the names, one per line.")] = False,
) -> None:
    """List deliberately wrong variants of the mock; `serve --mutant NAME` runs one."""
    from aione_mock.errors import ConfigError
    from aione_mock.mutants import MUTANTS

    found = [mutant for mutant in MUTANTS.values() if area in (None, mutant.area)]
    if not found:
        areas = dict.fromkeys(mutant.area for mutant in MUTANTS.values())
        raise ConfigError(f"unknown area '{area}'; the areas are {', '.join(areas)}")
    if names:
        for mutant in found:
            typer.echo(mutant.name)
        return
    terminal.print_table(("mutant", "area", "what is wrong"), [(m.name, m.area, m.title) for m in found])
