"""The configuration file of a mirrored gateway: YAML with a line for each entry, and the notes as comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from aione_mock.checker.mirror.entries import Entry
from aione_mock.checker.mirror.organisation import OrganisationReading
from aione_mock.clock import format_instant
from aione_mock.text.escaping import escape_unprintable

_HEAD = """\
# yaml-language-server: $schema=aione-mock.schema.json
# A configuration of aione-mock whose world looks like {url} did at {at}.
# Written by `aione-mock mirror`; `aione-mock serve --config FILE` serves it. Secrets are the mock's own:
# `aione-mock keys --config FILE` lists them. Comments say what could not be read. What no operation shows is the
# default: names of organisations, members, limits of concurrency, rights of console tokens, and paces.
"""
_ORDER = ("plan", "account", "tokens", "access_keys", "teams", "keys")
_WIDTH = 1 << 30


@dataclass(frozen=True, slots=True)
class MirroredWorld:
    """What a gateway showed of itself."""

    url: str
    at: datetime
    models: Sequence[Entry]
    are_models_listed: bool
    organisations: Sequence[OrganisationReading]
    """The main one first."""
    notes: Mapping[str, Sequence[str]]
    """By section: `models`, or the label of an organisation, a dot and the member."""

    @property
    def summary(self) -> str:
        """What was read, in one sentence."""
        counts = {name: sum(len(each.list_entries(name)) for each in self.organisations) for name in ("keys", "teams")}
        counts = {"models": len(self.models), **counts, "notes": len(self.list_notes())}
        return ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())

    def list_notes(self) -> list[str]:
        """Return all notes in the order of the file."""
        return [text for section in self._list_sections() for text in self.notes.get(section, ())]

    def _list_sections(self) -> list[str]:
        return ["models", *(f"{each.label}.{name}" for each in self.organisations for name in _ORDER)]

    def render(self) -> str:
        """Return the text of the file."""
        head = _HEAD.format(url=self.url, at=format_instant(self.at))
        lines = [*self._render_models(), "", "world:"]
        main, *others = self.organisations
        lines += _indent(self._render_organisation(main))
        if others:
            lines.append("  organisations:")
        for other in others:
            first, *rest = [f"label: {other.label}", *self._render_organisation(other)]
            lines += [f"    - {first}", *_indent(rest, 6)]
        return f"{head}\n" + "\n".join(lines) + "\n"

    def _render_models(self) -> Iterator[str]:
        yield "models:"
        yield from _indent(self._render_notes("models"))
        if not self.are_models_listed:
            yield "  # no list of models could be read, so every name is a model"
            yield from ("  extends: default", "  any: true")
        if self.models:
            yield "  models:"
            yield from _render_entries(self.models)

    def _render_organisation(self, reading: OrganisationReading) -> Iterator[str]:
        if reading.id:
            yield f"id: {reading.id}"
        for name in _ORDER:
            yield from self._render_notes(f"{reading.label}.{name}")
            value = reading.entries.get(name)
            if isinstance(value, list) and value:
                yield f"{name}:"
                yield from _render_entries(value, 2)
            elif value:
                yield f"{name}: {_render_flow(value)}"

    def _render_notes(self, section: str) -> Iterator[str]:
        for text in self.notes.get(section, ()):
            yield f"# {escape_unprintable(text)}"


def _indent(lines: Iterable[str], width: int = 2) -> Iterator[str]:
    return (f"{' ' * width}{line}" for line in lines)


def _render_entries(entries: Iterable[Entry], width: int = 4) -> Iterator[str]:
    return (f"{' ' * width}- {_render_flow(entry)}" for entry in entries)


def _render_flow(value: Any) -> str:
    """Return a value on one line, in which nothing is obeyed by a terminal."""
    text = _dump(value, allow_unicode=True)
    return text if escape_unprintable(text) == text else _dump(value, allow_unicode=False)


def _dump(value: Any, *, allow_unicode: bool) -> str:
    options: dict[str, Any] = {
        "default_flow_style": True,
        "sort_keys": False,
        "width": _WIDTH,
        "allow_unicode": allow_unicode,
    }
    text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, **options)
    return text.rstrip("\n")
