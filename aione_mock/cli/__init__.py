"""The command `aione-mock`. Its modules parse options and print results; the rest of the package does the work.

serve     answer requests
init      write a commented configuration file
config    show the settings in force, and the schema of the configuration file
spec      bundle, check and list the contract
keys      list the seeded credentials
world     show the seeded organisation
errors    list every error of the contract
check     check a gateway against the contract
diff      compare two gateways
mirror    write a configuration that looks like a gateway
mutants   list wrong variants of the mock
proxy     forward the traffic with a gateway, with faults
record    the same, and record it
cassette  list and check recordings
run       run the tests of any language with a mock
canaries  check that a gateway brings each answer back to who asked
probe     run a program under faults
coverage  how much of the contract a mock's clients have exercised
mcp       let a coding agent control a mock
store     check the store that workers share, and clear it

Exit codes: 0 done; 1 there are findings; 2 a setting or file that cannot be used, or a target that cannot be checked,
reported in one line on standard error; 130 stopped by Ctrl-C. `run` returns what its command returned.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, TextIO

import typer

from aione_mock.errors import ConfigError, MockError
from aione_mock.text.escaping import escape_unprintable

_EXIT_PIPE = 141
"""Exit code of a program that the signal SIGPIPE ends: whoever read the output has closed it."""
_COMMANDS: Mapping[str, str] = {
    "serve": "serve.serve_mock",
    "init": "config.write_configuration",
    "config": "config.app",
    "spec": "spec.app",
    "keys": "keys.list_keys",
    "world": "world.show_world",
    "errors": "errors.list_errors",
    "check": "check.check",
    "diff": "check.diff",
    "mirror": "mirror.mirror",
    "mutants": "mutants.mutants",
    "proxy": "record.run_proxy",
    "record": "record.record_traffic",
    "run": "run.run_with_mock",
    "canaries": "canaries.check_canaries",
    "probe": "probe.probe_program",
    "cassette": "cassette.app",
    "coverage": "coverage.measure_coverage",
    "mcp": "mcp.serve_agent",
    "store": "store.app",
}
"""Command → module of this package and its attribute. A module is imported when its command runs."""
_OPTIONAL_VALUES: Mapping[str, Sequence[str]] = {"--check-answers": ("log", "strict", "off")}
"""Option that may go without a value → its values, the first of which it then has."""


def create_program(only: str | None = None) -> typer.Typer:
    """Return the application with all commands, or with the one that is about to run.

    Typer reads the options of every command it is given, which takes two milliseconds for each.
    """
    app = typer.Typer(
        name="aione-mock",
        help="A mock of the AIone LLM gateway, driven by its OpenAPI contract.",
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
    given = _fill_optional_values(sys.argv[1:] if arguments is None else list(arguments))
    if sys.stderr is None:
        # otherwise the next file that is opened would be standard error
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stdout is None:
        return _print_error("standard output is closed; send it to /dev/null if nobody needs it")
    if isinstance(sys.stdout, TextIOWrapper):
        # an encoding such as Latin-1 has not all characters that are printed
        sys.stdout.reconfigure(errors="backslashreplace")
    app = create_program(given[0] if given and given[0] in _COMMANDS else None)
    try:
        _check_text(given)
        code = int(app(given or ["--help"], prog_name="aione-mock", standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except MockError as error:
        return max([_print_error(line) for line in str(error).splitlines()], default=2)
    except typer.Abort:
        return 130
    except SystemExit as end:
        # Typer ends the program itself when a pipe breaks
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return _end_output(end.__context__)
    except OSError as error:
        if _is_output_error(error):
            return _end_output(error)
        if error.filename is None:
            raise
        return _print_error(f"cannot use '{os.fsdecode(error.filename)}': {error.strerror}")
    except Exception as error:
        # Typer's own errors, whose class differs between its releases
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        return _print_error(format_message())


def _fill_optional_values(arguments: list[str]) -> list[str]:
    """Return the arguments with the value of each option that may go without one."""
    following = [*arguments[1:], ""]
    return [
        f"{given}={values[0]}" if (values := _OPTIONAL_VALUES.get(given)) and after not in values else given
        for given, after in zip(arguments, following, strict=False)  # without arguments, one is left over
    ]


def _check_text(arguments: Sequence[str]) -> None:
    """Raise ConfigError for an argument that is not UTF-8. What follows `--` is for another program."""
    for number, argument in enumerate(arguments[: [*arguments, "--"].index("--")], start=1):
        if any("\ud800" <= char <= "\udfff" for char in argument):  # as Python reads other bytes
            raise ConfigError(f"argument {number} is not UTF-8 text")


def _is_output_error(error: OSError) -> bool:
    """Return whether standard output cannot take what is written to it; errors of files name the file."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF, errno.EFBIG)


def _end_output(error: OSError) -> int:
    _discard_output(sys.stdout)
    if error.errno == errno.EPIPE:
        return _EXIT_PIPE
    return _print_error(f"cannot write the output: {error.strerror}")


def _discard_output(stream: TextIO) -> None:
    """Send the rest of a stream nowhere: what is still buffered would fail again when Python ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _print_error(message: str) -> int:
    # empty for a group without a command, whose help has been printed
    if message:
        try:
            typer.echo(escape_unprintable(f"aione-mock: {' '.join(message.split())}"), err=True)
        except OSError:
            _discard_output(sys.stderr)
    return 2
