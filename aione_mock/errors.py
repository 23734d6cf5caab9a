"""Everything this package raises.

MockError
├── ConfigError          a setting, flag or file that cannot be used; `remedy` says how to mend it
├── ContractError        an OpenAPI document that cannot be served; names the JSON pointer
├── ScenarioError        an unknown scenario, a bad rule; names the nearest match or the line
└── APIError             what a client of the gateway sees, by the name the contract gives it
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class MockError(Exception):
    """Base of all errors raised on purpose; `str()` is one line fit for a terminal."""


class ConfigError(MockError):
    """A setting, command-line value or file that cannot be used."""


class ContractError(MockError):
    """An OpenAPI document that cannot be served as it stands."""


class ScenarioError(MockError):
    """A scenario or rule that does not exist or cannot be played."""


class APIError(MockError):
    """A refusal that a client sees.

    `name` is an error name of the contract: status, type, code and envelope come from the
    example of that name (see `Contract.error`). `fields` replace members of the example's
    error object where it has them (`param`, …); `findings` are all findings of a validation.
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of `known`, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
