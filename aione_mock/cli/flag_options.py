"""Options of commands from the flags of dataclasses, such as `Target` and `CheckOptions`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import typer

from aione_mock.checker.options import Flag, read_flags

Command = TypeVar("Command", bound=Callable[..., None])


def with_flags(*classes: type, without: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Add an option for each flag of some dataclasses to a command, which gets the values as `**given`."""

    def add_flags(command: Command) -> Command:
        flags = [flag for cls in classes for flag in read_flags(cls) if flag.name not in without]
        parameters = inspect.signature(command, eval_str=True).parameters.values()
        arguments = [p for p in parameters if p.name.startswith("url")]
        options = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters if p not in arguments and p.name != "given"]
        signature = inspect.Signature([*arguments, *map(_build_parameter, flags), *options])
        command.__signature__ = signature  # type: ignore[attr-defined]
        return command

    return add_flags


def _build_parameter(flag: Flag) -> inspect.Parameter:
    kind: Any = list[str] if flag.is_repeatable else Literal[flag.choices] if flag.choices else str
    is_switch = isinstance(flag.default, bool)
    option = typer.Option(f"--{flag.option}", metavar=flag.metavar or None, help=flag.help)
    return inspect.Parameter(
        flag.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if is_switch else None,
        annotation=Annotated[bool if is_switch else kind | None, option],
    )
