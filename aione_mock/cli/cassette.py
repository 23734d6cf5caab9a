"""`aione-mock cassette`: recordings listed, and measured against today's contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aione_mock.cli import terminal
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError

if TYPE_CHECKING:
    from aione_mock.contract import Contract
    from aione_mock.recorder.cassette import Cassette, Interaction

File = Annotated[Path, typer.Argument(metavar="FILE", help="A cassette that `aione-mock record` wrote.")]
Overlays = Annotated[
    list[Path] | None,
    typer.Option("--overlay", metavar="FILE", help="An OpenAPI Overlay that changes the contract; repeatable."),
]
app = typer.Typer(help="Recordings: list them, check them against today's contract.", no_args_is_help=True)


@app.command()
def check(file: File, overlay: Overlays = None) -> None:
    """What today's contract has against each recording, a line each. Exit code 1 if there is anything."""
    from aione_mock.recorder import contract_check

    recorded, measure = _load(file), contract(overlay)
    if not recorded.interactions:
        raise ConfigError(f"cassette '{file}' holds no recording to check")
    count = 0
    for number, item in enumerate(recorded.interactions, start=1):
        for finding in contract_check.findings(measure, item):
            count += 1
            typer.echo(f"{number}  {item.request.operation or 'unknown'}  {finding}")
    if count:
        typer.echo(f"{count} finding{'s' if count > 1 else ''}", err=True)
        raise typer.Exit(1)
    many = len(recorded.interactions)
    typer.echo(f"{many} recording{'' if many == 1 else 's'}, no findings")


@app.command()
def show(file: File) -> None:
    """A line for every recording."""
    recorded = _load(file)
    head = ("number", "operation", "request", "status", "answer", "seconds", "wrong")
    terminal.table(head, [_row(number, item) for number, item in enumerate(recorded.interactions, start=1)])


def contract(overlays: list[Path] | None) -> Contract:
    """The bundled contract with a user's overlays. Raises ConfigError or ContractError."""
    from aione_mock.settings import DOCUMENTS, document_path

    return load_contract([document_path(name) for name in DOCUMENTS], overlays or ())


def _load(file: Path) -> Cassette:
    from aione_mock.recorder.cassette import load

    recorded = load(file)
    if recorded.torn:
        typer.echo(f"aione-mock: '{file}' was interrupted; its last recording is left out", err=True)
    return recorded


def _row(number: int, item: Interaction) -> tuple[str, ...]:
    asked, answered = item.request, item.response
    size = f"{len(answered.body)} bytes" if answered.events is None else f"{len(answered.events)} events"
    path = f"{asked.path}?{asked.query}" if asked.query else asked.path
    return (
        str(number),
        asked.operation or "unknown",
        f"{asked.method} {path}",
        str(answered.status),
        size + (", cut off" if answered.end == "cut" else ""),
        f"{item.total:.3f}",
        "; ".join(item.findings),
    )
