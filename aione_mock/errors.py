"""The errors that this package raises.

MockError
├── ConfigError          a setting, option or file that cannot be used
├── ContractError        an OpenAPI document that cannot be served; names the JSON Pointer
├── ScenarioError        an unknown scenario or a bad rule; names the nearest match or the line
└── APIError             an error response to a client, by the name that the contract gives it
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class MockError(Exception):
    """Base of all errors that are raised on purpose. Their text is one line that says how to fix the problem."""


class ConfigError(MockError):
    """A setting, command-line value or file that cannot be used."""


class ContractError(MockError):
    """An OpenAPI document that cannot be served."""


class ScenarioError(MockError):
    """A scenario or rule that does not exist or cannot be applied."""


class APIError(MockError):
    """An error response to a client.

    `name` is an error of the contract: status, type, code and envelope come from the example of that name (see
    `Contract.find_error`). `fields` replace members of the example's error object, such as `param`. `findings` are
    all violations that a validation found.
    """

    def __init__(
        self,
        name: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
        findings: tuple[Mapping[str, Any], ...] = (),
    ) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.headers = dict(headers or {})
        self.fields = dict(fields or {})
        self.findings = findings


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest name, or an empty string if none is near."""
    near = difflib.get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
