"""Options of a test's session, with an error for each misspelled keyword."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import yaml

from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError, ScenarioError, did_you_mean
from aione_mock.scenarios.catalogue import ScenarioCatalogue
from aione_mock.settings import ANY
from aione_mock.text.data_files import load_yaml, read_text
from aione_mock.types import Json

DEFAULT_NOW = "2026-04-07T09:30:00Z"
"""The time that the clock of a test shows by default: a Tuesday morning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Options of the marker, of `session()` and of `aione_mock.mock_server()`."""

    seed: int | str | None = None
    """Another seed changes words and names; None keeps the server's."""
    scenario: str | None = None
    """Applied to every call, as in the header `X-Mock-Scenario`."""
    rules: str | Path | Iterable[Mapping[str, Json]] = ()
    """Rules, or the path of a scenario file."""
    pace: str | Mapping[str, Json] | None = None
    """`instant`, `realistic`, or numbers such as `{"ttft": 0.2, "tps": 50}`."""
    now: datetime | str | None = DEFAULT_NOW
    """The time at which the clock is frozen."""
    replay: str | Path | None = None
    """A cassette that answers, without delay and with any key."""
    replay_only: bool = True
    """Whether a request that is not in the cassette is a 404 that names the nearest one; else the mock answers it."""
    models: str | Path | Iterable[str | Mapping[str, Json]] | None = None
    """Models besides the bundled ones: names, or entries as in a models file; or the path of such a file, or `any`."""
    keys: Iterable[Mapping[str, Json]] = ()
    """API keys besides the bundled ones, as in a world file: `{"name": "small", "rpm_limit": 2}`."""
    world: str | Path | Mapping[str, Json] | None = None
    """Organisations, keys and plans: the path of a world file, or what it contains."""
    strict: bool = False
    """Whether a call to a model that no prepared reply and no rule answers, or an unused reply, fails the test."""

    @classmethod
    def parse(cls, where: str, given: Mapping[str, Any]) -> Self:
        """Check the options `given` to `where`. Raises TypeError for one that does not exist, with a suggestion."""
        reject_unknown(where, given, [field.name for field in fields(cls)])
        options = cls(**given)
        if options.strict and options.replay is not None and not options.replay_only:
            raise TypeError(
                f"{where}: strict=True needs replay_only=True; otherwise the mock answers what is not recorded"
            )
        if isinstance(options.keys, str | Mapping) or not isinstance(options.keys, Iterable):
            raise TypeError(f"{where}: keys= is a list such as [{{'name': 'small'}}], not {options.keys!r}")
        if isinstance(options.models, Mapping) or not isinstance(options.models, str | Path | Iterable | None):
            raise TypeError(f"{where}: models= is a list of names, a path or 'any', not {options.models!r}")
        if options.keys and options.world is not None:
            raise TypeError(f"{where}: keys= is for the bundled organisations; write the keys into world=")
        return options

    def to_settings(self, folder: Path) -> dict[str, Json]:
        """Return the settings of a server with these models, keys and organisations; empty for the bundled ones.

        A relative path starts at `folder`.
        """
        settings: dict[str, Json] = {}
        if isinstance(self.models, str | Path):
            settings["models"] = ANY if self.models == ANY else str(folder / self.models)
        elif self.models is not None:
            entries = [{"id": each} if isinstance(each, str) else dict(each) for each in self.models]
            settings["models"] = {"extends": "default", "models": entries}
        if self.keys:
            settings["world"] = {"extends": "default", "keys": [dict(key) for key in self.keys]}
        elif self.world is not None:
            world = self.world
            settings["world"] = str(folder / world) if isinstance(world, str | Path) else dict(world)
        return settings

    def to_session(self, name: str) -> dict[str, Json]:
        """Return the body of `createSession`. Raises ConfigError or ScenarioError for a value that is not valid."""
        return {
            "name": name,
            "now": format_instant(DEFAULT_NOW if self.now is None else self.now),
            "frozen": True,
            **({} if self.seed is None else {"seed": self.seed}),
            **({} if self.pace is None else {"pace": parse_pace(self.pace)}),
        }

    def load_rules(self, folder: Path) -> list[Mapping[str, Json]]:
        """Return the rules, from their file where one is named; a relative path starts at `folder`.

        Raises ConfigError for a file that cannot be used.
        """
        if not isinstance(self.rules, str | Path):
            return list(self.rules)
        path = folder / self.rules
        try:
            _, document = load_yaml(read_text(path, "scenario file"))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
        rules = document.get("rules") if isinstance(document, dict) else None
        if not isinstance(rules, list):
            raise ConfigError(f"{path.name} has no list `rules:`, which a scenario file needs")
        return rules


def format_instant(given: datetime | str) -> str:
    """Return a time as the control API reads it. Raises ConfigError for a text that is not a time."""
    __tracebackhide__ = True
    text = given.isoformat() if isinstance(given, datetime) else given
    return parse_instant(text).isoformat().replace("+00:00", "Z")


def parse_pace(given: str | Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a pace as rules have it. Raises ScenarioError for text that is not a pace."""
    __tracebackhide__ = True
    try:
        return ScenarioCatalogue().parse_pace(given) if isinstance(given, str) else given
    except ScenarioError as error:  # frames of the catalogue would not help
        raise error.with_traceback(None) from None


def reject_unknown(where: str, given: Iterable[str], known: list[str]) -> None:
    """Raise TypeError for the first of `given` that is not `known`."""
    __tracebackhide__ = True
    for name in given:
        if name not in known:
            near = did_you_mean(name, known)
            raise TypeError(f"{where} has no option '{name}'{near}{' It' if near else '; it'} takes {', '.join(known)}")
