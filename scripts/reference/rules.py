"""The page on scenario files, from the schema that reads them."""

from __future__ import annotations

from aione_mock.settings import locate_fixture
from reference.markdown import format_code, join_parts
from reference.schemas import find_schema, format_members, write_definition

_HEAD = """\
# Scenario files

A scenario file holds rules. `serve --scenarios FILE`, the member `rules` of the configuration file, the control API
(`PUT /_mock/rules`) and the option `rules` of the pytest marker take the same rules. The first rule whose conditions
hold decides. [Editors](../how-to/editors.md) can check a file while you write it."""
_FIRST = ("Rule", "When", "Then", "Outcome", "Reply", "Pace", "Fault", "HeaderChange", "BodyChange")


def write_page() -> str:
    """Return the page."""
    schema = find_schema("scenarios")
    definitions = schema["$defs"]
    names = [*(name for name in _FIRST if name in definitions), *(name for name in definitions if name not in _FIRST)]
    example = locate_fixture("scenarios").joinpath("bad_day.yaml").read_text(encoding="utf-8")
    return join_parts(
        _HEAD,
        "## Example",
        format_code(example, "yaml"),
        "## The file",
        format_members(schema, definitions),
        "## Objects",
        *(write_definition(name, definitions[name], definitions=definitions) for name in names),
    )
