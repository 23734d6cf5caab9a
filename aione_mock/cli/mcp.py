"""`aione-mock mcp`: let a coding agent control a mock."""

from __future__ import annotations

from typing import Annotated

import typer

from aione_mock.cli.run import check_plain_http
from aione_mock.cli.serve import check_access
from aione_mock.cli.setting_options import add_setting_options, name_option, read_settings
from aione_mock.errors import ConfigError
from aione_mock.settings import Settings

_FOR_CLIENTS = ("control_token", "log_level")
"""Settings that mean something for a mock that runs elsewhere."""


@add_setting_options
def serve_agent(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="A mock that runs already; without it one is started.")
    ] = None,
) -> None:
    """Let a coding agent control a mock, by the Model Context Protocol on standard input and output.

    Without --url, a mock is started on a free port or on --port, with the options of `serve`; it ends with the agent.
    """
    from aione_mock.server.app import check_mcp_package

    check_mcp_package("mcp")
    config = read_settings(context.params, find_file=url is None)
    from aione_mock.text.credentials import configure_logs

    configure_logs(config.log_level)
    if url is None:
        _serve_own_mock(check_access(config))
    else:
        _refuse_settings(config)
        _serve(url, config.control_token)


def _refuse_settings(config: Settings) -> None:
    """Raise ConfigError for an option that could not change a mock which runs already."""
    for name in Settings.model_fields:
        if name not in _FOR_CLIENTS and config.get_origin(name) == name_option(name):
            raise ConfigError(f"{name_option(name)} is for a mock that is started here; remove it or --url")


def _serve_own_mock(config: Settings) -> None:
    from aione_mock.server.app import create_app
    from aione_mock.server.http import Server

    check_plain_http(config, "mcp")
    if not config.control:
        raise ConfigError("mcp needs the control API; remove --no-control")
    port = 0 if config.get_origin("port") == "default" else config.port
    with Server(create_app(config), config.host, port) as server:
        _serve(server.url, config.control_token)


def _serve(url: str, token: str | None) -> None:
    from aione_mock.server.mcp.agent_server import serve_standard_streams

    serve_standard_streams(url, token)
