"""`aione-mock spec`: the contract bundled, checked and listed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aione_mock.cli import terminal
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError, did_you_mean

Overlays = Annotated[
    list[Path] | None,
    typer.Option("--overlay", metavar="FILE", help="An OpenAPI Overlay that changes the contract; repeatable."),
]
app = typer.Typer(help="The contract: bundle it, check it, list its operations.", no_args_is_help=True)


@app.command("bundle")
def bundled(
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write here instead of standard output; JSON if the name ends in .json."),
    ] = None,
    document: Annotated[
        str, typer.Option(metavar="NAME", help="Which document: aione, modelrouter or control.")
    ] = "aione",
    overlay: Overlays = None,
) -> None:
    """One OpenAPI document as one file, parts and overlays included."""
    from aione_mock.settings import DOCUMENTS

    name = document if document.endswith(".yaml") else f"{document}.yaml"
    if name not in DOCUMENTS:
        known = [known.removesuffix(".yaml") for known in DOCUMENTS]
        raise ConfigError(f"no document '{document}', only {', '.join(known)}{did_you_mean(document, known)}")
    content = _load(overlay).documents[name]
    _write(_json(content) if output and output.suffix == ".json" else _yaml(content), output)


@app.command()
def lint(overlay: Overlays = None) -> None:
    """Everything that keeps the contract from being served, a line each. Exit code 1 if there is anything."""
    from aione_mock.contract.lint import find_problems
    from aione_mock.contract.loading import read_contract
    from aione_mock.settings import DOCUMENTS
    from aione_mock.settings import document_path as locate

    contract = read_contract([locate(name) for name in DOCUMENTS], overlay or ())
    found = list(find_problems(contract))
    for finding in found:
        typer.echo(finding)
    if found:
        typer.echo(f"{len(found)} finding{'s' if len(found) > 1 else ''}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(contract.documents)} documents, {len(contract.operations)} operations, no findings")


@app.command()
def routes(overlay: Overlays = None) -> None:
    """Every operation: where it is, how it is known, and what answers it."""
    from aione_mock.generator import realistic
    from aione_mock.server.handlers import HANDLERS

    contract = _load(overlay)
    rows = [
        # the control API is answered by code without exception; its table needs a running mock
        (o.id, o.method, o.path, o.evidence, "handler" if o.id in HANDLERS or o.protocol == "control" else "generated")
        for o in contract.operations.values()
    ]
    terminal.table(("operation", "method", "path", "evidence", "answered by"), rows)
    if contract.added and not realistic.is_installed():
        typer.echo(realistic.INSTALL_HINT, err=True)


def _load(overlays: list[Path] | None) -> Any:
    from aione_mock.settings import DOCUMENTS
    from aione_mock.settings import document_path as locate

    return load_contract([locate(name) for name in DOCUMENTS], overlays or ())


def _write(text: bytes, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_bytes(text)
    except OSError as error:
        raise ConfigError(f"cannot write '{output}': {error.strerror or error}; choose another --output") from None


def _json(content: Any) -> bytes:
    import orjson

    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _yaml(content: Any) -> bytes:
    import yaml

    class Dumper(yaml.CSafeDumper):
        """Texts of several lines as blocks, so that people can read them."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Dumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    dumped: bytes = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120, encoding="utf-8")
    return dumped
