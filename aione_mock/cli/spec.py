"""`aione-mock spec`: bundle, check and list the contract."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from aione_mock.cli import terminal
from aione_mock.cli.contract import Extensions, Overlays, load_bundled_contract
from aione_mock.cli.contract_source import BUNDLED, load_contract_pair
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.generator import realistic
from aione_mock.server.handlers import HANDLERS, load_extension_handlers
from aione_mock.settings import DOCUMENTS, parse_extensions
from aione_mock.text.yaml_writer import write_yaml

_SOURCES = "a document, a folder, git:REVISION, git:REVISION:FOLDER, or `bundled`"
app = typer.Typer(help="Bundle the contract, check it, list its operations, compare it.", no_args_is_help=True)


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
    extensions: Extensions = None,
) -> None:
    """Write one OpenAPI document as one file, with its parts and overlays."""
    name = document if document.endswith(".yaml") else f"{document}.yaml"
    if name not in DOCUMENTS:
        known = [known.removesuffix(".yaml") for known in DOCUMENTS]
        raise ConfigError(f"no document '{document}', only {', '.join(known)}{did_you_mean(document, known)}")
    content = load_bundled_contract(overlay, extensions).documents[name]
    text = terminal.format_json(content) if output and output.suffix == ".json" else write_yaml(content)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_bytes(text)
    except OSError as error:
        raise ConfigError(f"cannot write '{output}': {error.strerror or error}; choose another --output") from None


@app.command("lint")
def lint_contract(overlay: Overlays = None, extensions: Extensions = None) -> None:
    """List everything that prevents the contract from being served. Exit code 2 if there is anything."""
    contract = load_bundled_contract(overlay, extensions, cache=False)
    typer.echo(f"{len(contract.documents)} documents, {len(contract.operations)} operations, no findings")


@app.command("routes")
def list_routes(overlay: Overlays = None, extensions: Extensions = None) -> None:
    """List every operation: its path, its evidence, and what answers it."""
    contract = load_bundled_contract(overlay, extensions)
    handlers = {**HANDLERS, **load_extension_handlers(parse_extensions(extensions or ()))}
    rows = [
        # the handlers of the control API need a running mock, so they are not in the table
        (o.id, o.method, o.path, o.evidence, "handler" if o.id in handlers or o.protocol == "control" else "generated")
        for o in contract.operations.values()
    ]
    terminal.print_table(("operation", "method", "path", "evidence", "answered by"), rows)
    if contract.added - handlers.keys() and not realistic.is_installed():
        typer.echo(realistic.INSTALL_HINT, err=True)


@app.command("diff")
def compare_contracts(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"The older contract: {_SOURCES}.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The newer one.")] = BUNDLED,
    old_overlay: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="An OpenAPI Overlay on the older one; repeatable.")
    ] = None,
    overlay: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="An OpenAPI Overlay on the newer one; repeatable.")
    ] = None,
    cosmetic: Annotated[bool, typer.Option("--cosmetic", help="Also list changes of words and examples.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all changes as JSON.")] = None,
) -> int:
    """List the changes between two contracts by operation: what breaks clients, what adds something, what is cosmetic.

    One document is compared with those of the bundled contract that have operations in common with it.

    Exit code 0: nothing breaks clients; 1: something does; 2: a contract cannot be read.
    """
    from aione_mock.contract.comparison import LEVELS, compare_contracts

    changes = compare_contracts(*load_contract_pair(old, new, old_overlay, overlay))
    counts = Counter(change.level for change in changes)
    if json is not None:
        from aione_mock.checker.reports import write_file

        members = ("level", "operation", "place", "message")
        rows = [{member: getattr(change, member) for member in members} for change in changes]
        content = {"counts": {level: counts[level] for level in LEVELS}, "changes": rows}
        write_file(json, terminal.format_json(content))
    shown = [change for change in changes if cosmetic or change.level != "cosmetic"]
    if shown:
        head = ("change", "operation", "where", "what")
        terminal.print_table(head, [(each.level, each.operation, each.place or "-", each.message) for each in shown])
    operations = len({change.operation for change in changes})
    summary = ", ".join(f"{counts[level]} {level}" for level in LEVELS)
    typer.echo(f"{summary} changes in {operations} operations")
    return 1 if counts["breaking"] else 0
