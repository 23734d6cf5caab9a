"""The options of scenarios: their types and bounds, and how they are parsed from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from aione_mock.clock import parse_duration
from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.structs import frozen

OptionType = Literal["integer", "number", "boolean", "string"]
OptionValues = Mapping[str, Any]
TYPE_NAMES = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "object": "a mapping",
    "array": "a list",
}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@frozen
class Option:
    """An option of a scenario. A default of None means that the option is absent unless given."""

    name: str
    type: OptionType
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    def parse(self, text: str) -> Any:
        """Return the value in `text`. Raises ScenarioError that names what is expected."""
        mistake = ScenarioError(f"option '{self.name}' is '{text}', but should be {self.expected}")
        try:
            value = _PARSERS[self.type](text)
        except (ValueError, ConfigError):
            raise mistake from None
        if not self.accepts(value):
            raise mistake
        return value

    def accepts(self, value: Any) -> bool:
        """Return whether a value of the right type is one of the choices and within the bounds."""
        if self.choices and value not in self.choices:
            return False
        if isinstance(value, str):
            return True
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    @property
    def expected(self) -> str:
        """The accepted values in words: `an integer of at least 1`."""
        if self.choices:
            return " or ".join(f"'{choice}'" for choice in self.choices)
        return TYPE_NAMES[self.type] + describe_bounds(self.minimum, self.maximum)


def describe_bounds(minimum: float | None, maximum: float | None) -> str:
    """Return ` from 1 to 5`, ` of at least 1`, or nothing."""
    if minimum is not None and maximum is not None:
        return f" from {minimum:,} to {maximum:,}"
    return "" if minimum is None else f" of at least {minimum:g}"


def _parse_boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError(text)
    return _BOOLEANS[text.lower()]


_PARSERS: dict[OptionType, Callable[[str], Any]] = {
    "integer": int,
    "number": parse_duration,  # so that seconds may be written 2s or 250ms; bare numbers work too
    "boolean": _parse_boolean,
    "string": str,
}
