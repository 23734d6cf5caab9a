"""What a session of a test can be asked for: keyword by keyword, a misspelt one refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import yaml

from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError, ScenarioError, did_you_mean
from aione_mock.scenarios.catalogue import Catalogue
from aione_mock.settings import read_text
from aione_mock.types import Json

NOW = "2026-04-07T09:30:00Z"
"""What the clock of a test shows unless told otherwise: a Tuesday morning."""
Rules = str | Path | Iterable[Mapping[str, Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the marker, of `session()` and of `aione_mock.server.http()`."""

    seed: int | str | None = None
    """Another seed gives other words and names; None leaves the server's."""
    scenario: str | None = None
    """What happens to every call, as in the header `X-Mock-Scenario`."""
    rules: Rules = ()
    """Rules, or the path of a scenario file with them."""
    pace: str | Mapping[str, Json] | None = None
    """`instant`, `realistic`, or figures such as `{"ttft": 0.2, "tps": 50}`."""
    now: datetime | str | None = NOW
    """The instant at which the clock stands still."""
    replay: str | Path | None = None
    """A cassette that answers, at once, whatever the key."""
    replay_only: bool = True
    """Whether a request that was never recorded is a 404 that names the nearest recording; else the mock answers it."""

    @classmethod
    def of(cls, where: str, given: Mapping[str, Any]) -> Self:
        """The options `given` to `where`. Raises TypeError for one that does not exist, naming the right one."""
        refuse_unknown(where, given, [field.name for field in fields(cls)])
        return cls(**given)

    def start(self, name: str) -> dict[str, Json]:
        """The body of `createSession`. Raises ConfigError or ScenarioError for a value that cannot be."""
        return {
            "name": name,
            "now": instant_of(NOW if self.now is None else self.now),
            "frozen": True,
            **({} if self.seed is None else {"seed": self.seed}),
            **({} if self.pace is None else {"pace": pace_of(self.pace)}),
        }

    def specs(self, folder: Path) -> list[Mapping[str, Json]]:
        """The rules as they were written. A relative path starts at `folder`. Raises ConfigError."""
        if not isinstance(self.rules, str | Path):
            return list(self.rules)
        path = folder / self.rules
        try:
            document = yaml.load(read_text(path, "scenario file"), Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise ConfigError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
        rules = document.get("rules") if isinstance(document, dict) else None
        if not isinstance(rules, list):
            raise ConfigError(f"{path.name} has no list `rules:`, as scenario files have")
        return rules


def instant_of(given: datetime | str) -> str:
    """An instant as the control API reads it. Raises ConfigError for a text that is none."""
    __tracebackhide__ = True
    text = given.isoformat() if isinstance(given, datetime) else given
    return parse_instant(text).isoformat().replace("+00:00", "Z")


def pace_of(given: str | Mapping[str, Json]) -> Mapping[str, Json]:
    """A pace as rules spell it. Raises ConfigError for a text that is none."""
    if not isinstance(given, str):
        return given
    __tracebackhide__ = True
    refusal = ConfigError(f"'{given}' is not a pace; use instant, realistic or 'pace; ttft=0.5; tps=20'")
    try:
        found = Catalogue().read(given)
    except ScenarioError:
        # what is wrong with figures has been said best
        if given.partition(";")[0].strip() == "pace":
            raise
        raise refusal from None
    if len(found) != 1 or set(found[0]) != {"pace"}:
        raise refusal
    pace: Mapping[str, Json] = found[0]["pace"]
    return pace


def refuse_unknown(where: str, given: Iterable[str], known: list[str]) -> None:
    """Raises TypeError for the first of `given` that is not `known`."""
    __tracebackhide__ = True
    for name in given:
        if name not in known:
            near = did_you_mean(name, known)
            raise TypeError(f"{where} has no option '{name}'{near}{' It' if near else '; it'} takes {', '.join(known)}")
