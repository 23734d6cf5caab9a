"""The page on the command line, from the commands that Typer runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from aione_mock.cli import create_program
from reference.markdown import format_code, format_table, join_parts, quote

_HEAD = """\
# Command line

`aione-mock --help` and `aione-mock COMMAND --help` print the same. See [exit codes](exit-codes.md) for what a command
returns, [settings](settings.md) for the variables and the configuration file, and
[editors and shells](../how-to/editors.md)."""


def write_page() -> str:
    """Return the page."""
    commands = list(list_commands())
    table = format_table(
        ("command", "what it does"), [(f"[`{p}`](#{_make_slug(p)})", _read_summary(c)) for p, c in commands]
    )
    return join_parts(_HEAD, table, *(_write_command(path, command) for path, command in commands))


def list_commands() -> Iterator[tuple[str, Any]]:
    """Yield each command that can run, with its path such as `aione-mock spec lint`."""
    yield from _walk("aione-mock", typer.main.get_command(create_program()))


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from _walk(f"{path} {name}", each)
    else:
        yield path, command


def _write_command(path: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    usage = " ".join([path, "[OPTIONS]", *(_name_argument(each) for each in arguments)])
    rows = [(f"`{_name_argument(each)}`", getattr(each, "help", "") or "") for each in arguments]
    rows += [(f"{quote((*each.opts, *each.secondary_opts))}{_show_value(each)}", each.help or "") for each in options]
    return join_parts(f"## {path}", command.help or "", format_code(usage), format_table(("option", "meaning"), rows))


def _name_argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _show_value(option: Any) -> str:
    if option.is_flag:
        return ""
    choices = getattr(option.type, "choices", None)
    value = option.metavar or ("|".join(map(str, choices)) if choices else option.type.name.upper())
    return f" `{value}`"


def _read_summary(command: Any) -> str:
    return (command.help or "").strip().split("\n")[0]


def _make_slug(path: str) -> str:
    return path.replace(" ", "-")
