"""`aione-mock spec`: bundle, check and list the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from aione_mock.cli import terminal
from aione_mock.cli.contract import Overlays, load_bundled_contract
from aione_mock.contract.lint import find_problems
from aione_mock.contract.loading import read_contract
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.generator import realistic
from aione_mock.server.handlers import HANDLERS
from aione_mock.settings import DOCUMENTS, document_path
from aione_mock.types import Json

app = typer.Typer(help="Bundle the contract, check it, list its operations.", no_args_is_help=True)


@app.command("bundle")
def bundle_contract(
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write to FILE instead of standard output; JSON if its name ends in .json."),
    ] = None,
    document: Annotated[
        str, typer.Option(metavar="NAME", help="The document: aione, modelrouter or control.")
    ] = "aione",
    overlay: Overlays = None,
) -> None:
    """Write one OpenAPI document as one file, with its parts and overlays."""
    name = document if document.endswith(".yaml") else f"{document}.yaml"
    if name not in DOCUMENTS:
        known = [known.removesuffix(".yaml") for known in DOCUMENTS]
        raise ConfigError(f"no document '{document}', only {', '.join(known)}{did_you_mean(document, known)}")
    content = load_bundled_contract(overlay).documents[name]
    text = terminal.format_json(content) if output and output.suffix == ".json" else _format_yaml(content)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_bytes(text)
    except OSError as error:
        raise ConfigError(f"cannot write '{output}': {error.strerror or error}; choose another --output") from None


@app.command("lint")
def lint_contract(overlay: Overlays = None) -> None:
    """List everything that prevents the contract from being served. Exit code 1 if there is anything."""
    contract = read_contract([document_path(name) for name in DOCUMENTS], overlay or ())
    problems = list(find_problems(contract))
    for problem in problems:
        typer.echo(problem)
    if problems:
        typer.echo(f"{len(problems)} finding{'s' if len(problems) > 1 else ''}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(contract.documents)} documents, {len(contract.operations)} operations, no findings")


@app.command("routes")
def list_routes(overlay: Overlays = None) -> None:
    """List every operation: its path, its evidence, and what answers it."""
    contract = load_bundled_contract(overlay)
    rows = [
        # the handlers of the control API need a running mock, so they are not in the table
        (o.id, o.method, o.path, o.evidence, "handler" if o.id in HANDLERS or o.protocol == "control" else "generated")
        for o in contract.operations.values()
    ]
    terminal.print_table(("operation", "method", "path", "evidence", "answered by"), rows)
    if contract.added and not realistic.is_installed():
        typer.echo(realistic.INSTALL_HINT, err=True)


class _BlockTextDumper(yaml.CSafeDumper):
    """Write texts of several lines as blocks, which people can read."""

    def ignore_aliases(self, data: Json) -> bool:
        return True


def _represent_text(dumper: _BlockTextDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_BlockTextDumper.add_representer(str, _represent_text)


def _format_yaml(content: Json) -> bytes:
    text: bytes = yaml.dump(
        content, Dumper=_BlockTextDumper, sort_keys=False, allow_unicode=True, width=120, encoding="utf-8"
    )
    return text
