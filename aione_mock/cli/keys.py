"""`aione-mock keys`: the seeded credentials and what each is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aione_mock.cli import terminal

if TYPE_CHECKING:
    from aione_mock.tenant.organisation_file import SeededCredential

_HEAD = ("kind", "organisation", "secret", "purpose")


def keys(
    form: Annotated[
        Literal["table", "json", "env"],
        typer.Option("--format", help="`env`: NAME=value lines for a shell or a .env file."),
    ] = "table",
) -> None:
    """The seeded credentials and what each is for. They are the same for every seed."""
    from aione_mock.tenant.organisation_file import list_credentials

    found = list_credentials()
    if form == "env":
        for name, value in [pair for credential in found for pair in credential.env]:
            typer.echo(f"{name}={value}")
    elif form == "json":
        _json(found)
    else:
        terminal.table(_HEAD, [_row(credential) for credential in found])


def _row(credential: SeededCredential) -> tuple[str, ...]:
    # an access key is a pair; of the others the id is of no use to a person
    pair = f" (id {credential.id})" if credential.kind == "access_key" else ""
    return credential.kind, credential.organisation, credential.secret, credential.purpose + pair


def _json(found: tuple[SeededCredential, ...]) -> None:
    import orjson

    rows = [
        {
            "label": credential.label,
            "kind": credential.kind,
            "organisation": credential.organisation,
            "purpose": credential.purpose,
            "id": credential.id,
            "secret": credential.secret,
            "env": dict(credential.env),
        }
        for credential in found
    ]
    typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), nl=False)
