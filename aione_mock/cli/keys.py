"""`aione-mock keys`: list the seeded credentials and their purposes."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from aione_mock.cli import terminal
from aione_mock.tenant.organisation_file import SeededCredential, list_credentials
from aione_mock.types import Json


def list_keys(
    form: Annotated[
        Literal["table", "json", "env"],
        typer.Option("--format", help="`env` prints NAME=value lines for a shell or a .env file."),
    ] = "table",
) -> None:
    """List the seeded credentials and their purposes. They are the same for every seed."""
    credentials = list_credentials()
    if form == "env":
        for name, value in [pair for credential in credentials for pair in credential.env]:
            typer.echo(f"{name}={value}")
    elif form == "json":
        terminal.print_json([_to_json(credential) for credential in credentials])
    else:
        terminal.print_table(("kind", "organisation", "secret", "purpose"), [_to_row(item) for item in credentials])


def _to_row(credential: SeededCredential) -> tuple[str, ...]:
    # only an access key is used together with its id
    pair = f" (id {credential.id})" if credential.kind == "access_key" else ""
    return credential.kind, credential.organisation, credential.secret, credential.purpose + pair


def _to_json(credential: SeededCredential) -> dict[str, Json]:
    return {
        "label": credential.label,
        "kind": credential.kind,
        "organisation": credential.organisation,
        "purpose": credential.purpose,
        "id": credential.id,
        "secret": credential.secret,
        "env": dict(credential.env),
    }
