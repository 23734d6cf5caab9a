"""The options of `serve`: one for each setting, with the setting's type and description."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from aione_mock.settings import CONFIG_VARIABLE, Settings, find_configuration, read_variable

_FOUND = "working directory"
"""Origin of a configuration file that nobody named."""
_NAMES = {"overlays": "--overlay", "extensions": "--with", "allowed_hosts": "--allowed-host"}
"""Options that are not called as their setting."""
_NO_CONTROL = "no_control"
_TYPES: Mapping[str, Any] = {"control": Literal["on", "off", "open"]}
"""Types of options that differ from those of their setting."""
_METAVARS = {
    "config": "FILE",
    "uds": "PATH",
    "root_path": "PATH",
    "tls_cert": "FILE",
    "tls_key": "FILE",
    "now": "TIME",
    "models": "FILE|any",
    "world": "FILE",
    "overlays": "FILE",
    "extensions": "NAMES",
    "scenarios": "PATH",
    "control_token": "TOKEN",
    "allowed_hosts": "NAME",
    "cors": "ORIGIN",
    "journals_total": "BYTES",
    "max_body": "BYTES",
    "journal_bytes": "BYTES",
    "store": "URL|memory",
    "store_prefix": "TEXT",
    "store_timeout": "SECONDS",
    "workers": "N|auto",
    "mutant": "NAME",
    "replay": "FILE",
    "request_timeout": "SECONDS",
    "drain": "SECONDS",
}


def add_setting_options(
    command: Callable[..., int | None], only: Collection[str] = tuple(Settings.model_fields)
) -> Callable[..., int | None]:
    """Give a command, which takes Typer's context, an option for each setting, or for `only` some of them.

    `read_settings` reads them. Other parameters of the command are its own options, and come first.
    """
    own = inspect.signature(command, eval_str=True).parameters

    def run(**values: Any) -> int | None:
        return command(**{name: values[name] for name in own})

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own.values()]
    parameters += [_make_parameter(name) for name in only]
    short = typer.Option("--no-control", help="The same as --control off.")
    parameters.append(_make_option(_NO_CONTROL, Annotated[bool, short], default=False))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    return run


def read_settings(options: Mapping[str, Any], *, find_file: bool = True) -> Settings:
    """Return the settings: those options that were given, the environment, and the configuration file.

    Without `--config`, it is the one in the working directory, if there is one and `find_file` says so.
    """
    given = {name: value for name, value in options.items() if name in Settings.model_fields}
    given = {name: value for name, value in given.items() if value not in (None, [], ())}
    if options.get(_NO_CONTROL):
        given["control"] = False
    names: Callable[[str], str] = name_option
    if (
        find_file
        and "config" not in given
        and read_variable(CONFIG_VARIABLE) is None
        and (found := find_configuration())
    ):
        given["config"], names = found, lambda field: _FOUND if field == "config" else name_option(field)
    return Settings(_name_option=names, **given)


def name_option(field: str) -> str:
    """Return the option of a setting."""
    return _NAMES.get(field) or f"--{field.replace('_', '-')}"


def name_source(settings: Settings, field: str) -> str:
    """Return what a user has to change: the option, the variable, or the member with its place in the file."""
    origin = settings.get_origin(field)
    return f"{field} ({origin})" if ":" in origin else origin


def _make_parameter(field: str) -> inspect.Parameter:
    info = Settings.model_fields[field]
    words = ("off", "on") if field in _TYPES else ("no", "yes")
    default = words[info.default] if isinstance(info.default, bool) else info.default
    default = ", ".join(default) if isinstance(default, tuple) else default
    text = info.description if default in (None, "") else f"{info.description} Default: {default}."
    flags = f"{name_option(field)}/--no-{field.replace('_', '-')}" if info.annotation is bool else name_option(field)
    option = typer.Option(flags, help=text, metavar=_METAVARS.get(field), show_default=False)
    kind: Any = _TYPES.get(field) or _find_type(info.annotation)
    return _make_option(field, Annotated[kind | None, option], default=None)


def _make_option(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _find_type(annotation: Any) -> Any:
    """Return the type that Typer parses; everything else is text for the setting to parse."""
    if annotation in (bool, int, float) or get_origin(annotation) is Literal:
        return annotation
    if get_origin(annotation) is tuple:
        return list[get_args(annotation)[0]]  # type: ignore[misc]
    return Path if Path in get_args(annotation) else str
