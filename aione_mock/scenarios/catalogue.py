"""Scenarios by name, and their syntax in a header.

The syntax is `NAME; option=value; option=value, NAME; …`. A value with a comma or a semicolon is put in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from aione_mock.errors import APIError, ScenarioError, did_you_mean
from aione_mock.scenarios import templates
from aione_mock.scenarios.actions import ActionStep, parse_steps
from aione_mock.scenarios.awkward import AWKWARD_ANSWERS, Need
from aione_mock.scenarios.faults import FAULTS, AppliesTo
from aione_mock.scenarios.options import Option
from aione_mock.structs import frozen
from aione_mock.types import Json

NO_CODES: Mapping[str, str] = MappingProxyType({})
ScenarioKind = Literal["error", "fault", "awkward", "pace", "reply"]
_PART = {separator: re.compile(rf'(?:"(?:\\.|[^"\\])*"|[^"{separator}])*') for separator in ",;"}
_PACES = ("instant", "realistic", "pace")

_COMMON = (
    Option("times", "integer", None, "Number of calls it applies to; without it all.", minimum=1),
    Option("delay", "number", None, "Seconds before anything is sent.", minimum=0),
)
_ERROR = (
    Option(
        "retry_after",
        "integer",
        None,
        "Seconds in the header retry-after, with errors that have it; 0 for no wait.",
        minimum=0,
    ),
    Option("message", "string", None, "The message instead of the usual one."),
)
_PACE = (
    Option("ttft", "number", None, "Seconds to the first token.", minimum=0),
    Option("tps", "number", None, "Tokens per second after it.", minimum=0.001),
    Option("jitter", "number", None, "How much gaps differ, as a fraction of them.", minimum=0, maximum=1),
    Option("tail", "number", None, "Spread of a log-normal factor on the whole answer.", minimum=0),
)
_FINISH_REASONS = ("stop", "stop_sequence", "length", "tool_calls", "content_filter")
_REPLY = (
    Option("text", "string", None, "What the model says; templates are filled in."),
    Option("finish", "string", None, "Why the answer ends.", _FINISH_REASONS),
)
_FIXED: tuple[tuple[str, ScenarioKind, str, tuple[Option, ...]], ...] = (
    ("instant", "pace", "No waiting at all", _PACE),
    ("realistic", "pace", "As fast as the called model usually is", _PACE),
    ("pace", "pace", "The session's pace with other figures", _PACE),
    ("reply", "reply", "A scripted reply of the model", _REPLY),
)


@frozen
class Scenario:
    """An error, fault, awkward answer, pace or reply by name. `options` include `times` and `delay`, which all have."""

    name: str
    kind: ScenarioKind
    title: str
    applies_to: AppliesTo
    options: tuple[Option, ...]
    needs: Need | None = None
    """What a request must have for it."""

    @property
    def header(self) -> str:
        """The request header that asks for the scenario, with the defaults of its options."""
        given = [f"{o.name}={_format_value(o.default)}" for o in self.options if o.default is not None]
        given += ["text=Hello"] if self.kind == "reply" else ["tps=20"] if self.name == "pace" else []
        return f"X-Mock-Scenario: {'; '.join([self.name, *given])}"


class ScenarioCatalogue:
    """Hold all scenarios: the contract's errors, the faults, awkward answers, the paces and scripted replies."""

    def __init__(self, errors: Iterable[tuple[str, str, int]] = (), codes: Mapping[str, str] = NO_CODES) -> None:
        """`errors` are (protocol, name, status) of every error of the contract; `codes` are other names of errors."""
        self._codes = codes
        self.errors: Mapping[str, dict[int, list[str]]] = _group_errors(errors)
        found = [
            Scenario(name, "error", _describe_error(statuses), "both", _ERROR + _COMMON)
            for name, statuses in self.errors.items()
        ]
        found += [Scenario(f.name, "fault", f.title, f.applies_to, f.options + _COMMON) for f in FAULTS.values()]
        found += [Scenario(a.name, "awkward", a.title, "both", _COMMON, a.needs) for a in AWKWARD_ANSWERS.values()]
        found += [Scenario(name, kind, title, "both", options + _COMMON) for name, kind, title, options in _FIXED]
        self.scenarios: Mapping[str, Scenario] = {scenario.name: scenario for scenario in found}
        if len(self.scenarios) != len(found):
            raise ScenarioError("an error of the contract has the name of another scenario")

    def __iter__(self) -> Iterator[Scenario]:
        return iter(self.scenarios.values())

    def find(self, name: str) -> Scenario:
        """Return a scenario by name. Raises ScenarioError with the nearest match."""
        name = self._codes.get(name, name)
        if name not in self.scenarios:
            raise ScenarioError(f"unknown scenario '{name}'{did_you_mean(name, self.scenarios)}")
        return self.scenarios[name]

    def parse_then(self, text: str, times: int | None = None) -> dict[str, Json]:
        """Return the scenarios in `text` as one `then` of a rule.

        Faults apply one after the other, delays add up. `times` replaces the numbers of calls in the text, of which
        otherwise the smallest counts. Raises ScenarioError.
        """
        specs = [self._parse_scenario(part) for part in _split(text, ",")]
        _check_exclusive(text, specs)
        then: dict[str, Json] = {}
        for spec in specs:
            merged = {name: _MERGE[name](then[name], spec[name]) for name in _MERGE if name in then and name in spec}
            then |= spec | merged
        return then | ({"times": times} if times else {})

    def parse_header(self, text: str) -> ActionStep:
        """Return what `X-Mock-Scenario` asks for. Raises APIError `invalid_request`."""
        try:
            return parse_steps(self.parse_then(text))[0]
        except ScenarioError as error:
            raise APIError("invalid_request", str(error), fields={"param": "X-Mock-Scenario"}) from None

    def parse_pace(self, text: str) -> Mapping[str, Json]:
        """Return `instant`, `realistic` or `pace; ttft=0.5; tps=20` as changes of a pace. Raises ScenarioError."""
        __tracebackhide__ = True
        named = text.partition(";")[0].strip() in _PACES
        then = self.parse_then(text) if named else {}
        if set(then) != {"pace"}:
            raise ScenarioError(f"'{text}' is not a pace; use instant, realistic or 'pace; ttft=0.5; tps=20'")
        pace: Mapping[str, Json] = then["pace"]
        return pace

    def _parse_scenario(self, text: str) -> dict[str, Json]:
        name, *given = [part.strip() for part in _split(text, ";")]
        if "=" in name or " " in name:
            raise ScenarioError(
                f"'{name}' is not the name of a scenario; put `;` before each option, as in cut; after=3"
            )
        scenario = self.find(name)
        values = dict(self._parse_option(scenario, part) for part in given)
        for mistake in templates.explain_unknown([values.get("text"), values.get("message")]):
            raise ScenarioError(mistake)
        common = {option.name: values.pop(option.name) for option in _COMMON if option.name in values}
        return common | self._make_action(scenario, values)

    def _parse_option(self, scenario: Scenario, text: str) -> tuple[str, Json]:
        key, equals, value = (part.strip() for part in text.partition("="))
        options = {option.name: option for option in scenario.options}
        if key not in options:
            remedy = did_you_mean(key, options) or f"; it takes {', '.join(options)}"
            raise ScenarioError(f"scenario '{scenario.name}' has no option '{key}'{remedy}")
        if not equals:
            raise ScenarioError(f"option '{key}' of '{scenario.name}' has no value; write {key}=VALUE")
        return key, options[key].parse(_unquote(value))

    def _make_action(self, scenario: Scenario, values: dict[str, Json]) -> dict[str, Json]:
        name = scenario.name
        if scenario.kind == "error":
            return {"error": name, **values}
        if scenario.kind == "fault":
            if "error" in values and values["error"] not in self.errors:
                raise ScenarioError(f"unknown error '{values['error']}'{did_you_mean(values['error'], self.errors)}")
            return {"faults": [{"name": name, **values}]}
        if scenario.kind == "awkward":
            return {"awkward": name}
        if scenario.kind == "reply":
            if "text" not in values:
                raise ScenarioError("scenario 'reply' needs a text, as in reply; text=\"Hello, you\"")
            return {"reply": values}
        if name == "pace" and not values:
            raise ScenarioError("scenario 'pace' needs ttft, tps, jitter or tail")
        return {"pace": values if name == "pace" else {"profile": name, **values}}


_MERGE: Mapping[str, Callable[[Json, Json], Json]] = {
    "faults": lambda first, second: first + second,
    "pace": lambda first, second: {**first, **second},
    "delay": lambda first, second: first + second,
    "times": min,
}
"""How members of two scenarios are combined; of all others the last counts."""
ANSWERS: Mapping[str, str] = {"error": "an error", "reply": "a reply", "awkward": "an awkward answer"}
"""Members of an outcome that say what the answer is, so that there may be one of them, and their names."""


def _check_exclusive(text: str, specs: list[dict[str, Json]]) -> None:
    """Raise ScenarioError for more than one error, awkward answer or reply."""
    given = [word for spec in specs for name, word in ANSWERS.items() if name in spec]
    for word in given:
        if given.count(word) > 1:
            raise ScenarioError(f"'{text}' has more than one {word.partition(' ')[2]}")
    if len(given) > 1:
        raise ScenarioError(f"'{text}' has both {given[0]} and {given[1]}")


def _group_errors(errors: Iterable[tuple[str, str, int]]) -> dict[str, dict[int, list[str]]]:
    """Return the protocols that have each error, by name and status."""
    found: dict[str, dict[int, list[str]]] = {}
    for protocol, name, status in errors:
        found.setdefault(name, {}).setdefault(status, []).append(protocol)
    return found


def _describe_error(statuses: Mapping[int, list[str]]) -> str:
    return "; ".join(f"HTTP {status} ({', '.join(protocols)})" for status, protocols in sorted(statuses.items()))


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside quotes. Raises ScenarioError for a quote that is not closed."""
    parts, place = [], 0
    while True:
        found = _PART[separator].match(text, place)
        end = found.end() if found else place
        parts.append(text[place:end])
        if end == len(text):
            return parts
        if text[end] != separator:
            raise ScenarioError(f"'{text}' has a quote that is not closed")
        place = end + 1


def _unquote(value: str) -> str:
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _format_value(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
