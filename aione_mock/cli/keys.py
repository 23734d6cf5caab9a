"""`aione-mock keys`: list the seeded credentials and their purposes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from aione_mock.cli import terminal
from aione_mock.cli.setting_options import read_settings
from aione_mock.tenant.organisation_file import SeededCredential
from aione_mock.tenant.world import World
from aione_mock.text.addresses import parse_base_url
from aione_mock.types import Json


def list_keys(
    form: Annotated[
        Literal["table", "json", "env", "dotenv"],
        typer.Option(
            "--format", help="`env` prints lines for `eval` in a shell, `dotenv` lines NAME=value for a .env file."
        ),
    ] = "table",
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="With `env` or `dotenv`, also print what points SDKs to the mock at this URL."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="As for `serve`.")] = None,
) -> None:
    """List the seeded credentials and their purposes. They are the same for every seed."""
    credentials = World.load(read_settings({"config": config})).list_credentials()
    if form in ("env", "dotenv"):
        for name, value in _list_variables(credentials, url):
            typer.echo(f"export {name}={shlex.quote(value)}" if form == "env" else f"{name}={value}")
    elif form == "json":
        terminal.print_json([_to_json(credential) for credential in credentials])
    else:
        terminal.print_table(("kind", "organisation", "secret", "purpose"), [_to_row(item) for item in credentials])


def _list_variables(credentials: Iterable[SeededCredential], url: str | None) -> list[tuple[str, str]]:
    if url is None:
        return [pair for credential in credentials for pair in credential.env]
    from aione_mock.testing.environment import make_session_variables

    key = next(credential.secret for credential in credentials if credential.kind == "key")
    own = {name: value for credential in credentials for name, value in credential.env}
    variables = make_session_variables(parse_base_url(url, "--url"), key) | own
    return [(name, value) for name, value in variables.items() if name.lower() != "no_proxy"]


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
