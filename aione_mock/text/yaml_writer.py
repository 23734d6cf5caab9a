"""Write YAML that people read."""

from __future__ import annotations

import yaml

from aione_mock.types import Json


class _BlockTextDumper(yaml.CSafeDumper):
    """Write texts of several lines as blocks, which people can read."""

    def ignore_aliases(self, data: Json) -> bool:
        return True


def _represent_text(dumper: _BlockTextDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_BlockTextDumper.add_representer(str, _represent_text)


def write_yaml(content: Json) -> bytes:
    """Write JSON as YAML, its members in their order."""
    text: bytes = yaml.dump(
        content, Dumper=_BlockTextDumper, sort_keys=False, allow_unicode=True, width=120, encoding="utf-8"
    )
    return text
