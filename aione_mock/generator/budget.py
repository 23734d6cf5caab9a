"""Bound the work that a schema may cause, so that no request stops the others."""

from __future__ import annotations

from aione_mock.errors import ContractError

MAX_BYTES, MAX_PATTERN, MAX_MEMBERS = 256 << 10, 2000, 5000
"""Bytes of a schema, characters of a `pattern`, and members of all its `enum`s."""
_MAX_STEPS = 30_000
"""Steps of ten microseconds or so each: less than a second in all.

They are counted, because answers may not depend on the clock.
"""


class TooComplex(ContractError):
    """A schema whose instances would take too long to find."""


class WorkBudget:
    """Count the steps of one search for instances of a schema."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _MAX_STEPS

    def spend(self, steps: int = 1) -> None:
        """Take steps from the budget. Raise TooComplex if it is used up."""
        self._left -= steps
        if self._left < 0:
            raise TooComplex("the schema is too complex: an instance would take longer than a second to find")


def check_pattern(pattern: str) -> None:
    """Raise ContractError for a regular expression that is too long."""
    if len(pattern) > MAX_PATTERN:
        raise ContractError(f"a pattern has {len(pattern)} characters; at most {MAX_PATTERN} are allowed")
