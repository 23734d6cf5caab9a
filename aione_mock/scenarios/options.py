"""The options of a named scenario: their types, and how they are read from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from aione_mock.clock import parse_duration
from aione_mock.errors import ConfigError, ScenarioError
from aione_mock.structs import frozen

Type = Literal["integer", "number", "boolean", "string"]
Options = Mapping[str, Any]


@frozen
class Option:
    """One option: what it is called, what it takes, what it is without being given (None: nothing)."""

    name: str
    type: Type
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    def read(self, text: str) -> Any:
        """The value that `text` spells. Raises ScenarioError that says what it should be."""
        try:
            value = _READERS[self.type](text)
        except (ValueError, ConfigError):
            raise ScenarioError(f"option '{self.name}' is '{text}', but should be {self.wanted}") from None
        if not self.takes(value):
            raise ScenarioError(f"option '{self.name}' is '{text}', but should be {self.wanted}")
        return value

    def takes(self, value: Any) -> bool:
        """Whether a value of the right type is one of the choices and within the bounds."""
        if self.choices and value not in self.choices:
            return False
        if isinstance(value, str):
            return True
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    @property
    def wanted(self) -> str:
        """What it takes, in words: `an integer of at least 1`."""
        if self.choices:
            return " or ".join(f"'{choice}'" for choice in self.choices)
        words = {"integer": "an integer", "number": "a number", "boolean": "true or false", "string": "text"}[self.type]
        if self.minimum is not None and self.maximum is not None:
            return f"{words} from {self.minimum:,} to {self.maximum:,}"
        return words if self.minimum is None else f"{words} of at least {self.minimum:g}"


_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _boolean(text: str) -> bool:
    if text.lower() not in _WORDS:
        raise ValueError(text)
    return _WORDS[text.lower()]


_READERS: dict[Type, Callable[[str], Any]] = {
    "integer": int,
    "number": parse_duration,  # so that seconds may be written 2s or 250ms; it takes bare numbers too
    "boolean": _boolean,
    "string": str,
}
