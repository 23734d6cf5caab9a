"""The command `aione-mock`. Modules parse and print; what they call lives elsewhere.

serve     answer requests
spec      bundle, lint and list the contract
keys      the seeded credentials
world     the seeded organisation
errors    every error of the contract, and the ways to get it
check     hold a gateway against the contract
diff      hold two gateways against each other
mutants   deliberately wrong variants of the mock
record    pass traffic on to a gateway and keep it
cassette  list and check what was recorded
probe     put a program through faults and judge it

Exit codes: 0 done; 1 there are findings; 2 a setting that cannot be used or a target that cannot be checked, in one
line on standard error; 130 ended by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated

import typer

from aione_mock.errors import MockError

_COMMANDS: Mapping[str, str] = {
    "serve": "serve.serve",
    "spec": "spec.app",
    "keys": "keys.keys",
    "world": "world.world",
    "errors": "errors.errors",
    "check": "check.check",
    "diff": "check.diff",
    "mutants": "mutants.mutants",
    "record": "record.record",
    "probe": "probe.probe",
    "cassette": "cassette.app",
}
"""Command → module of this package and its attribute. A module is imported when its command runs."""


def program(only: str | None = None) -> typer.Typer:
    """Return the application with all commands, or with the one that is about to run.

    Typer reads the options of every command it is given, which takes two milliseconds for each.
    """
    app = typer.Typer(
        name="aione-mock",
        help="A stand-in for the AIone LLM gateway, driven by its OpenAPI contract.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
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


def _version(wanted: bool) -> None:
    if wanted:
        from aione_mock.settings import VERSION

        typer.echo(f"aione-mock {VERSION}")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. `arguments` are the process's own if None."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    app = program(given[0] if given and given[0] in _COMMANDS else None)
    try:
        # a command that ends without a word has gone well
        return int(app(given or ["--help"], prog_name="aione-mock", standalone_mode=False) or 0)
    except MockError as error:
        return _refuse(str(error))
    except typer.Abort:
        return 130
    except Exception as error:
        # Typer's own refusals, whose class differs between its releases
        spelled = getattr(error, "format_message", None)
        if spelled is None:
            raise
        return _refuse(spelled())


def _refuse(message: str) -> int:
    # empty when a group was called without a command: its help has been printed
    if message:
        typer.echo(f"aione-mock: {' '.join(message.split())}", err=True)
    return 2
