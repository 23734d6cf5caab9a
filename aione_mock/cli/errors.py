"""`aione-mock errors`: every error of the contract, and the ways to get it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from aione_mock.cli import terminal
from aione_mock.cli.spec import Overlays
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.types import Json

_WIDTH = 10
"""Columns of the words that say what a line is."""


def errors(
    operation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this operation can answer, as createChatCompletion.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For machines; what GET /_mock/errors answers.")] = False,
    overlay: Overlays = None,
) -> None:
    """Every error of the contract: status, headers, body, and the ways to get it."""
    from aione_mock.server.control.error_catalogue import list_errors
    from aione_mock.settings import DOCUMENTS, Settings, document_path
    from aione_mock.tenant.organisation_file import list_credentials

    contract = load_contract([document_path(name) for name in DOCUMENTS], overlay or ())
    if operation is not None and operation not in contract.operations:
        near = did_you_mean(operation, contract.operations)
        raise ConfigError(f"unknown operation '{operation}'{near}; `aione-mock spec routes` lists them")
    # secrets are the same for every seed and at every time
    credentials = list_credentials()
    found = list_errors(contract, credentials, base_url="http://127.0.0.1:8000", max_body=Settings().max_body)
    items = [entry for entry in found if operation in (None, *entry["operations"])]
    if json:
        _print_json({"items": items, "total": len(items)})
    else:
        _print(items)


def _print(items: Iterable[Json]) -> None:
    import orjson

    for entry in items:
        terminal.heading(f"{entry['status']} {entry['name']} ({entry['dialect']})")
        _line("from", ", ".join(entry["operations"]) or "unknown paths and wrong methods")
        for name, value in entry["headers"].items():
            _line("header", f"{name}: {value}")
        _line("body", orjson.dumps(entry["body"]).decode())
        for trigger in entry["triggers"]:
            _line(f"by {trigger['by']}", trigger["how"])
        typer.echo()


def _line(what: str, text: str) -> None:
    typer.echo(f"  {what:<{_WIDTH}}  {text}")


def _print_json(content: Json) -> None:
    import orjson

    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), nl=False)
