"""`aione-mock cassette`: list recordings, and check them against today's contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from aione_mock.cli import terminal
from aione_mock.cli.contract import Overlays, load_bundled_contract
from aione_mock.errors import ConfigError
from aione_mock.recorder import contract_check
from aione_mock.recorder.cassette import Cassette, Interaction, load_cassette
from aione_mock.text.escaping import escape_unprintable

File = Annotated[Path, typer.Argument(metavar="FILE", help="A cassette that `aione-mock record` wrote.")]
app = typer.Typer(help="List recordings, and check them against today's contract.", no_args_is_help=True)


@app.command("check")
def check_cassette(file: File, overlay: Overlays = None) -> None:
    """List what violates today's contract in each recording. Exit code 1 if there is anything."""
    recordings, contract = _load(file).interactions, load_bundled_contract(overlay)
    if not recordings:
        raise ConfigError(f"cassette '{file}' holds no recording to check")
    count = 0
    for number, item in enumerate(recordings, start=1):
        for finding in contract_check.check_interaction(contract, item):
            count += 1
            typer.echo(escape_unprintable(f"{number}  {item.request.operation or 'unknown'}  {finding}"))
    if count:
        typer.echo(f"{count} finding{'s' if count > 1 else ''}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(recordings)} recording{'' if len(recordings) == 1 else 's'}, no findings")


@app.command("show")
def show_cassette(file: File) -> None:
    """Print a line for every recording."""
    head = ("number", "operation", "request", "status", "answer", "seconds", "wrong")
    rows = [_to_row(number, item) for number, item in enumerate(_load(file).interactions, start=1)]
    terminal.print_table(head, rows)


def _load(file: Path) -> Cassette:
    cassette = load_cassette(file)
    if cassette.torn:
        typer.echo(f"aione-mock: '{file}' was interrupted; its last recording is left out", err=True)
    return cassette


def _describe_answer(item: Interaction) -> Iterator[str]:
    yield item.response.describe_size()
    if item.response.end == "cut":
        yield "cut off"
    if item.scenario is not None:
        yield item.scenario.describe()


def _to_row(number: int, item: Interaction) -> tuple[str, ...]:
    request, response = item.request, item.response
    path = f"{request.path}?{request.query}" if request.query else request.path
    cells = (
        str(number),
        request.operation or "unknown",
        f"{request.method} {path}",
        str(response.status),
        ", ".join([*_describe_answer(item)]),
        f"{item.timing.total:.3f}",
        "; ".join(item.findings),
    )
    return tuple(map(escape_unprintable, cells))
