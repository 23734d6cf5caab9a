"""The command `aione-mock`. Its modules parse options and print results; the rest of the package does the work.

serve     answer requests
spec      bundle, check and list the contract
keys      list the seeded credentials
world     show the seeded organisation
errors    list every error of the contract
check     check a gateway against the contract
diff      compare two gateways
mutants   list wrong variants of the mock
record    record the traffic with a gateway
cassette  list and check recordings
probe     run a program under faults

Exit codes: 0 done; 1 there are findings; 2 a setting or file that cannot be used, or a target that cannot be checked,
reported in one line on standard error; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated

import typer

from aione_mock.errors import MockError

_COMMANDS: Mapping[str, str] = {
    "serve": "serve.serve_mock",
    "spec": "spec.app",
    "keys": "keys.list_keys",
    "world": "world.show_world",
    "errors": "errors.list_errors",
    "check": "check.check",
    "diff": "check.diff",
    "mutants": "mutants.mutants",
    "record": "record.record_traffic",
    "probe": "probe.probe_program",
    "cassette": "cassette.app",
}
"""Command → module of this package and its attribute. A module is imported when its command runs."""


def create_program(only: str | None = None) -> typer.Typer:
    """Return the application with all commands, or with the one that is about to run.

    Typer reads the options of every command it is given, which takes two milliseconds for each.
    """
    app = typer.Typer(
        name="aione-mock",
        help="A mock of the AIone LLM gateway, driven by its OpenAPI contract.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_add_options)
    for name in _COMMANDS if only is None else [only]:
        command = _load_command(name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _load_command(name: str) -> typer.Typer | Callable[..., int | None]:
    module, _, attribute = _COMMANDS[name].partition(".")
    command: typer.Typer | Callable[..., int | None] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return command


def _print_version(requested: bool) -> None:
    if requested:
        from aione_mock.settings import VERSION

        typer.echo(f"aione-mock {VERSION}")
        raise typer.Exit


def _add_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `arguments` default to those of the process."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    app = create_program(given[0] if given and given[0] in _COMMANDS else None)
    try:
        return int(app(given or ["--help"], prog_name="aione-mock", standalone_mode=False) or 0)
    except MockError as error:
        return _print_error(str(error))
    except typer.Abort:
        return 130
    except Exception as error:
        # Typer's own errors, whose class differs between its releases
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        return _print_error(format_message())


def _print_error(message: str) -> int:
    # empty for a group without a command, whose help has been printed
    if message:
        typer.echo(f"aione-mock: {' '.join(message.split())}", err=True)
    return 2
