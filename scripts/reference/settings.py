"""The page on settings, from the pydantic model that reads them and the schema of the configuration file."""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.cli.setting_options import name_option
from aione_mock.settings import Settings
from aione_mock.types import Json
from reference.markdown import format_table, join_parts
from reference.schemas import describe_type, find_schema, write_definition

_HEAD = """\
# Settings

Each setting is an option of `aione-mock serve`, an environment variable, a member of the configuration file, and a
keyword argument of `aione_mock.Settings`. An option overrides the variable, the variable overrides the file, and the
file overrides the default. [Configuration](../how-to/configuration.md) explains the file with examples."""
_CONTENTS = """\
## Members of the configuration file

`models` and `world` may hold what a file of their own would hold. These are the objects in them."""


def write_page() -> str:
    """Return the page."""
    schema = find_schema("configuration")
    head = ("setting", "option, variable", "type", "default", "meaning")
    rows = [_describe_setting(name, schema) for name in Settings.model_fields]
    return join_parts(_HEAD, format_table(head, rows), _CONTENTS, *_write_contents(schema))


def _describe_setting(name: str, schema: Json) -> tuple[str, ...]:
    info = Settings.model_fields[name]
    kind = describe_type(schema["properties"].get(name, {"type": "string"}))
    names = f"`{name_option(name)}`<br>`AIONE_MOCK_{name.upper()}`"
    return (f"`{name}`", names, kind, _show_default(info.default), info.description or "")


def _show_default(value: object) -> str:
    if value is None or value in ("", ()):
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"`{text.lower() if isinstance(value, bool) else text}`"


def _write_contents(schema: Json) -> Iterator[str]:
    rules = find_schema("scenarios")["$defs"]
    for name, definition in sorted(schema["$defs"].items()):
        if name not in rules and definition.get("properties"):
            yield write_definition(name, definition)
