"""Everything that can be made to happen by name, and how it is written in a header.

`NAME; option=value; option=value, NAME; …`: several at once with commas between them. A value with a comma or a
semicolon stands in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from aione_mock.errors import APIError, ScenarioError, did_you_mean
from aione_mock.scenarios import templates
from aione_mock.scenarios.faults import TABLE, Scope
from aione_mock.scenarios.options import Option
from aione_mock.scenarios.outcomes import Step, steps
from aione_mock.structs import frozen
from aione_mock.types import Json

Kind = Literal["error", "fault", "pace", "reply"]
_PART = {sep: re.compile(rf'(?:"(?:\\.|[^"\\])*"|[^"{sep}])*') for sep in ",;"}

COMMON = (
    Option("times", "integer", None, "For so many calls; without it for all.", minimum=1),
    Option("delay", "number", None, "Seconds before anything else happens.", minimum=0),
)
_ERROR = (
    Option("retry_after", "integer", None, "Seconds in the header retry-after, with errors that have it.", minimum=1),
    Option("message", "string", None, "The message instead of the usual one."),
)
_PACE = (
    Option("ttft", "number", None, "Seconds to the first token.", minimum=0),
    Option("tps", "number", None, "Tokens a second after it.", minimum=0.001),
    Option("jitter", "number", None, "How much gaps differ, as a part of them.", minimum=0, maximum=1),
    Option("tail", "number", None, "Spread of a log-normal factor on the whole answer.", minimum=0),
)
_REPLY = (
    Option("text", "string", None, "What the model says; templates are filled in."),
    Option(
        "finish",
        "string",
        None,
        "Why the answer ends.",
        ("stop", "stop_sequence", "length", "tool_calls", "content_filter"),
    ),
)
_FIXED: tuple[tuple[str, Kind, str, tuple[Option, ...]], ...] = (
    ("instant", "pace", "No waiting at all", _PACE),
    ("realistic", "pace", "As fast as the model called usually is", _PACE),
    ("pace", "pace", "The session's pace with other figures", _PACE),
    ("reply", "reply", "The model says this", _REPLY),
)


@frozen
class Scenario:
    """Something that can be made to happen by name; `options` include `times` and `delay`, which all take."""

    name: str
    kind: Kind
    title: str
    applies_to: Scope
    options: tuple[Option, ...]

    @property
    def header(self) -> str:
        """How to ask for it, with the defaults of its options."""
        given = [f"{o.name}={_written(o.default)}" for o in self.options if o.default is not None]
        given += ["text=Hello"] if self.kind == "reply" else ["tps=20"] if self.name == "pace" else []
        return f"X-Mock-Scenario: {'; '.join([self.name, *given])}"


class Catalogue:
    """All scenarios: the contract's errors, the faults, the paces and scripted replies.

    `errors` are (protocol, name, status) of every error that the contract spells.
    """

    def __init__(self, errors: Iterable[tuple[str, str, int]] = ()) -> None:
        self.errors: Mapping[str, dict[int, list[str]]] = _by_name(errors)
        found = [
            Scenario(name, "error", _title(spelled), "both", _ERROR + COMMON) for name, spelled in self.errors.items()
        ]
        found += [Scenario(f.name, "fault", f.title, f.applies_to, f.options + COMMON) for f in TABLE.values()]
        found += [Scenario(name, kind, title, "both", options + COMMON) for name, kind, title, options in _FIXED]
        self.scenarios: Mapping[str, Scenario] = {scenario.name: scenario for scenario in found}
        if len(self.scenarios) != len(found):
            raise ScenarioError("an error of the contract has the name of a fault or a pace")

    def __iter__(self) -> Iterator[Scenario]:
        return iter(self.scenarios.values())

    def find(self, name: str) -> Scenario:
        """The scenario of that name. Raises ScenarioError with the nearest match."""
        if name not in self.scenarios:
            raise ScenarioError(f"unknown scenario '{name}'{did_you_mean(name, self.scenarios)}")
        return self.scenarios[name]

    def read(self, text: str) -> tuple[Mapping[str, Json], ...]:
        """Each scenario in `text` as an `Outcome` of the rule schema. Raises ScenarioError."""
        found = tuple(self._read(part) for part in _split(text, ","))
        for exclusive in ("error", "reply"):
            if sum(exclusive in spec for spec in found) > 1:
                raise ScenarioError(f"'{text}' has more than one {exclusive}")
        if any("error" in spec for spec in found) and any("reply" in spec for spec in found):
            raise ScenarioError(f"'{text}' has both an error and a reply")
        return found

    def parse_header(self, text: str) -> tuple[Step, ...]:
        """What `X-Mock-Scenario` asks for, all of it at once. Raises APIError `invalid_request`."""
        try:
            return tuple(step for spec in self.read(text) for step in steps(spec))
        except ScenarioError as error:
            raise APIError("invalid_request", str(error), fields={"param": "X-Mock-Scenario"}) from None

    def then(self, text: str, times: int | None = None) -> dict[str, Json]:
        """The same as one `Then` of a rule, for so many calls (or as many as the text says). Raises ScenarioError."""
        then: dict[str, Json] = {}
        for spec in self.read(text):
            limit = min(filter(None, (then.get("times"), spec.get("times"))), default=None)
            then |= {
                **spec,
                **({"faults": then.get("faults", []) + spec["faults"]} if "faults" in spec else {}),
                **({"pace": {**then.get("pace", {}), **spec["pace"]}} if "pace" in spec else {}),
                **({"delay": then.get("delay", 0) + spec["delay"]} if "delay" in spec else {}),
                **({"times": limit} if limit else {}),
            }
        return then | ({"times": times} if times else {})

    def _read(self, text: str) -> dict[str, Json]:
        name, *given = [part.strip() for part in _split(text, ";")]
        scenario = self.find(name)
        values = dict(self._option(scenario, part) for part in given)
        for mistake in templates.mistakes([values.get("text"), values.get("message")]):
            raise ScenarioError(mistake)
        common = {option.name: values.pop(option.name) for option in COMMON if option.name in values}
        return common | self._outcome(scenario, values)

    def _option(self, scenario: Scenario, text: str) -> tuple[str, Json]:
        key, equals, value = (part.strip() for part in text.partition("="))
        known = {option.name: option for option in scenario.options}
        if key not in known:
            takes = did_you_mean(key, known) or f"; it takes {', '.join(known)}"
            raise ScenarioError(f"scenario '{scenario.name}' has no option '{key}'{takes}")
        if not equals:
            raise ScenarioError(f"option '{key}' of '{scenario.name}' has no value; write {key}=VALUE")
        return key, known[key].read(_unquoted(value))

    def _outcome(self, scenario: Scenario, values: dict[str, Json]) -> dict[str, Json]:
        name = scenario.name
        if scenario.kind == "error":
            return {"error": name, **values}
        if scenario.kind == "fault":
            if "error" in values and values["error"] not in self.errors:
                raise ScenarioError(f"unknown error '{values['error']}'{did_you_mean(values['error'], self.errors)}")
            return {"faults": [{"name": name, **values}]}
        if scenario.kind == "reply":
            if "text" not in values:
                raise ScenarioError("scenario 'reply' needs a text, as in reply; text=\"Hello, you\"")
            return {"reply": values}
        if name == "pace" and not values:
            raise ScenarioError("scenario 'pace' needs ttft, tps, jitter or tail")
        return {"pace": values if name == "pace" else {"profile": name, **values}}


def _by_name(errors: Iterable[tuple[str, str, int]]) -> dict[str, dict[int, list[str]]]:
    """The protocols that spell each error, by name and status."""
    found: dict[str, dict[int, list[str]]] = {}
    for protocol, name, status in errors:
        found.setdefault(name, {}).setdefault(status, []).append(protocol)
    return found


def _title(spelled: Mapping[int, list[str]]) -> str:
    return "; ".join(f"HTTP {status} ({', '.join(protocols)})" for status, protocols in sorted(spelled.items()))


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators that stand outside quotes. Raises ScenarioError for a quote that is not closed."""
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


def _unquoted(value: str) -> str:
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _written(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
