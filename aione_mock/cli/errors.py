"""`aione-mock errors`: list every error of the contract and how to provoke it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import orjson
import typer

from aione_mock.cli import terminal
from aione_mock.cli.contract import Overlays, load_bundled_contract
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.server.control.error_catalogue import ErrorCatalogue
from aione_mock.settings import Settings
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.types import Json

_LABEL_WIDTH = 10


def list_errors(
    operation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only errors of this operation, such as createChatCompletion.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON: the answer of GET /_mock/errors.")] = False,
    overlay: Overlays = None,
) -> None:
    """List every error of the contract: status, headers, body, and how to provoke it."""
    contract = load_bundled_contract(overlay)
    if operation is not None and operation not in contract.operations:
        remedy = did_you_mean(operation, contract.operations) or "; `aione-mock spec routes` lists them"
        raise ConfigError(f"unknown operation '{operation}'{remedy}")
    catalogue = ErrorCatalogue(
        contract, list_credentials(), base_url="http://127.0.0.1:8000", max_body=Settings().max_body
    )
    items = [entry for entry in catalogue.list_errors() if operation in (None, *entry["operations"])]
    if json:
        terminal.print_json({"items": items, "total": len(items)})
    else:
        _print_errors(items)


def _print_errors(items: Iterable[Json]) -> None:
    for entry in items:
        terminal.print_heading(f"{entry['status']} {entry['name']} ({entry['dialect']})")
        _print_line("from", ", ".join(entry["operations"]) or "unknown paths and wrong methods")
        for name, value in entry["headers"].items():
            _print_line("header", f"{name}: {value}")
        _print_line("body", orjson.dumps(entry["body"]).decode())
        for trigger in entry["triggers"]:
            _print_line(f"by {trigger['by']}", trigger["how"])
        typer.echo()


def _print_line(label: str, text: str) -> None:
    typer.echo(f"  {label:<{_LABEL_WIDTH}}  {text}")
