"""`aione-mock init` and `aione-mock config`: write a configuration file, show what is in force, print the schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from aione_mock.cli import terminal
from aione_mock.cli.schemas import SchemaName, make_schema
from aione_mock.cli.setting_options import add_setting_options, read_settings
from aione_mock.errors import ConfigError
from aione_mock.settings import CONFIG_FILES, Settings, locate_fixture
from aione_mock.text.credentials import mask_url

_MASK = "…"
_BELOW = "see below"
"""In place of a value that takes many lines."""
_SECRET_MEMBERS = ("secret",)
_URLS = ("store",)
"""Settings of which only a part is a secret."""

app = typer.Typer(help="Show the settings in force, and the schema of the configuration file.", no_args_is_help=True)


def write_configuration(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path(CONFIG_FILES[0]),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
) -> None:
    """Write a commented configuration file, in which each setting has its default."""
    check_new_file(output, "--output", force=force)
    try:
        output.write_text(format_configuration(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from None
    typer.echo(f"{output} is written. `aione-mock serve` uses {CONFIG_FILES[0]} of its working directory.")


def check_new_file(path: Path, option: str, *, force: bool) -> None:
    """Check the name of a YAML file to be written. Raises ConfigError if there is such a file already."""
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{option}: {path} does not end in .yaml; what is written is YAML")
    if path.exists() and not force:
        raise ConfigError(f"{path} exists already; choose another {option}, or replace it with --force")


def format_configuration() -> str:
    """Return the text of a configuration file: each setting in a comment, then an example of a world."""
    example = locate_fixture("configuration.yaml").read_text(encoding="utf-8")
    settings = [_format_setting(name) for name in Settings.model_fields if name not in ("config", "models", "world")]
    return example.replace("# SETTINGS\n", "\n".join(settings))


def _format_setting(name: str) -> str:
    info = Settings.model_fields[name]
    default = info.default if info.default is not None else ""
    value = _format_value(list(default) if isinstance(default, tuple) else default)
    return f"# {info.description}\n# {name}:{' ' * bool(value)}{value}\n"


def show_configuration(context: typer.Context) -> None:
    """Show each setting, and where its value comes from. Takes the options of `serve`; secrets are masked.

    Files that settings name are read too, and their mistakes reported as `serve` does.
    """
    from aione_mock.server.app import check_files

    settings = read_settings(context.params)
    check_files(settings)
    values = {name: _mask(settings, name) for name in Settings.model_fields}
    long = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    shown = {name: _BELOW if name in long else _format_value(value) for name, value in values.items()}
    terminal.print_table(
        ("setting", "value", "origin"), [(name, value, settings.get_origin(name)) for name, value in shown.items()]
    )
    for name, value in long.items():
        terminal.print_lines(f"\n{_format_yaml({name: value})}")


app.command("show")(add_setting_options(show_configuration))


@app.command("schema")
def print_schema(
    of: Annotated[SchemaName, typer.Option(help="The kind of file.")] = "configuration",
) -> None:
    """Print the JSON Schema of the configuration file, or of other files that people write, for editors."""
    terminal.print_json(make_schema(of))


def _mask(settings: Settings, name: str) -> Any:
    """Return the value of a setting without secrets."""
    value = getattr(settings, name)
    if name in _URLS:
        return mask_url(value)
    secret = not Settings.model_fields[name].repr
    return _MASK if secret and value is not None else _mask_members(value)


def _mask_members(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _MASK if name in _SECRET_MEMBERS else _mask_members(item) for name, item in value.items()}
    return [_mask_members(item) for item in value] if isinstance(value, list | tuple) else value


def _format_yaml(value: Any) -> str:
    """Return YAML, with the innermost lists and mappings on one line."""
    import yaml

    options: dict[str, Any] = {"default_flow_style": None, "sort_keys": False, "allow_unicode": True, "width": 1 << 30}
    text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, **options)
    return text.rstrip("\n")


def _format_value(value: Any) -> str:
    """Return a value as the configuration file may have it."""
    if value is None or isinstance(value, str | Path):
        return str(value or "")
    return orjson.dumps(value, default=str).decode()
