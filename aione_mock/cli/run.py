"""`aione-mock run -- COMMAND`: run the tests of any language with a mock of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from aione_mock.cli import terminal
from aione_mock.cli.setting_options import add_setting_options, name_option, read_settings
from aione_mock.errors import ConfigError
from aione_mock.settings import Settings

_UNUSABLE = ("uds", "tls_cert", "tls_key", "tls_self_signed")
"""Settings that clients could not follow: the variables of SDKs hold a URL alone."""


@add_setting_options
def run_with_mock(
    context: typer.Context,
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND...", help="The program and its arguments, after `--`.", show_default=False),
    ],
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Also report calls to a model without a rule, and requests that are refused."),
    ] = False,
) -> int:
    """Run COMMAND with a mock on a free port; report unused replies and answers that violate the contract.

    COMMAND finds the mock through the environment: OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL,
    GOOGLE_GEMINI_BASE_URL, AIONE_BASE_URL and so on. The options are those of `serve`.

    Exit code: that of COMMAND. If COMMAND has succeeded, 1 for problems; 2 if it could not be run.
    """
    from aione_mock.testing.command import run_command
    from aione_mock.text.credentials import configure_logs

    config = _prepare(read_settings(context.params))
    configure_logs(config.log_level)
    return run_command(command, config, strict=strict, report=lambda line: terminal.print_line(line, err=True))


def check_plain_http(config: Settings, command: str) -> None:
    """Raise ConfigError for a setting that a command, which serves plain HTTP on a port, cannot use."""
    for name in _UNUSABLE:
        if getattr(config, name):
            raise ConfigError(f"{command} serves plain HTTP on a port; remove {name_option(name)}")


def _prepare(config: Settings) -> Settings:
    """Return the settings with a free port, and with answers that are checked for the report instead of for the log.

    Raises ConfigError for a setting that `run` cannot use.
    """
    check_plain_http(config, "run")
    changes: dict[str, object] = {} if config.get_origin("port") == name_option("port") else {"port": 0}
    for name, value in {"check_answers": "log", "log_level": "error"}.items():
        if config.get_origin(name) == "default":
            changes[name] = value
    return config.model_copy(update=changes)
