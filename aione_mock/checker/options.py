"""The options of a check, each defined once for `check()`, the command line and pytest.

pytest reads this module in every run of every suite, so it imports nothing expensive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from aione_mock.clock import LONGEST_WAIT, parse_duration
from aione_mock.errors import ConfigError

PHASES = ("examples", "coverage", "fuzzing", "stateful")
"""Phases of generated cases."""
FailOn = Literal["violation", "assumption"]
_LOWEST_RATE = 1 / 86400
"""Requests per second."""
_HIGHEST_AMOUNT = Decimal(10) ** 9
"""RMB."""
_SEVERITIES = ("violation", "assumption")


@dataclass(frozen=True, slots=True)
class Flag:
    """How a field is given on a command line."""

    metavar: str
    """Empty for a switch."""
    help: str
    parse: Callable[[Any], Any] = str
    """Converts what was given, or each item of a repeatable flag."""
    name: str = ""
    """Set by `read_flags` to the name of the field if it is empty."""
    choices: tuple[str, ...] = ()
    keyword: str = ""
    """How it is written on a command line, where that is a keyword of Python."""
    field: str = ""
    """Set by `read_flags`, like `default`."""
    default: Any = None

    @property
    def option(self) -> str:
        """What is written on a command line, without the hyphens before it."""
        return self.keyword or self.name.replace("_", "-")

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be given several times."""
        return isinstance(self.default, tuple)

    def parse_value(self, value: Any) -> Any:
        """Return the field's value for what was given. Raises ConfigError."""
        return tuple(map(self.parse, value)) if self.is_repeatable else self.parse(value)


def parse_seconds(text: str) -> float:
    """Return a duration in seconds. Raises ConfigError unless it is positive."""
    seconds = parse_duration(text)
    if seconds > LONGEST_WAIT:
        raise ConfigError(f"'{text}' is too long; give at most a year")
    if seconds <= 0:
        raise ConfigError(f"'{text}' is not a positive duration; write one such as 30s or 5m")
    return seconds


def parse_rate(text: str) -> float:
    """Return requests per second. Raises ConfigError unless it is at least one a day."""
    number, _, unit = text.partition("/")
    try:
        rate = float(number) / {"": 1, "s": 1, "m": 60, "h": 3600}[unit.strip()]
    except (ValueError, KeyError):
        rate = 0.0
    if _LOWEST_RATE <= rate < float("inf"):
        return rate
    raise ConfigError(f"'{text}' is not a rate; write one such as 5/s or 100/m")


def parse_seed(text: str) -> str:
    """Return a seed. Raises ConfigError."""
    from aione_mock.seed import check_seed  # imports msgspec, which a plugin of all test runs should not

    return check_seed(text)


def parse_count(text: str) -> int:
    """Return a whole number. Raises ConfigError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ConfigError(f"'{text}' is not a whole number")
    return int(text)


def parse_workers(text: str) -> int:
    """Return a number of workers. Raises ConfigError unless it is from 1 to 32."""
    if parse_count(text) not in range(1, 33):
        raise ConfigError(f"'{text}' is not a number of workers from 1 to 32")
    return int(text)


def parse_amount(text: str) -> Decimal:
    """Return an amount of RMB. Raises ConfigError."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= _HIGHEST_AMOUNT:
        raise ConfigError(f"'{text}' is not an amount of RMB; write one such as 5 or 0.50")
    return amount


def parse_percent(text: str) -> float:
    """Return a percentage. Raises ConfigError unless it is from 0 to 100."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if 0 <= percent <= 100:
        return percent
    raise ConfigError(f"'{text}' is not a percentage from 0 to 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What to check and within which limits."""

    only: Annotated[Iterable[str], Flag("NAME", "Check only this tag, operation, law, area or phase. Repeatable.")] = ()
    skip: Annotated[Iterable[str], Flag("NAME", "Do not check this one. Repeatable.")] = ()
    overlays: Annotated[Iterable[Path], Flag("FILE", "OpenAPI Overlay to apply. Repeatable.", Path, "overlay")] = ()
    extensions: Annotated[
        Iterable[str], Flag("NAMES", "Operations to check too, as in serve --with. Repeatable.", keyword="with")
    ] = ()
    seed: Annotated[str | int, Flag("SEED", "Seed for the generated cases.", parse_seed)] = "0"
    max_time: Annotated[float | None, Flag("TIME", "End after this time, such as 30s or 5m.", parse_seconds)] = None
    """Seconds."""
    timeout: Annotated[float, Flag("TIME", "Longest time for one answer; 20s by default.", parse_seconds)] = 20.0
    """Seconds."""
    model_timeout: Annotated[
        float, Flag("TIME", "Longest time for one answer of a model; 2m by default.", parse_seconds)
    ] = 120.0
    """Seconds."""
    workers: Annotated[int, Flag("N", "Generated requests at the same time; 1 by default.", parse_workers)] = 1
    """With more than 1, which cases the budget of paid calls reaches differs from run to run."""
    rate_limit: Annotated[float | None, Flag("N/s", "Most requests, such as 5/s or 100/m.", parse_rate)] = None
    """Requests per second."""
    allow_writes: Annotated[bool, Flag("", "Create, change and delete temporary API keys.", bool)] = False
    spend_limit: Annotated[Decimal | str, Flag("RMB", "Most to spend on models; 5 by default.", parse_amount)] = "5"
    max_paid_calls: Annotated[int, Flag("N", "Most model calls; 250 by default.", parse_count)] = 250
    fail_on: Annotated[FailOn, Flag("", "Fail on violations alone or, the default, on both.", choices=_SEVERITIES)] = (
        "assumption"
    )
    require_checked: Annotated[
        float, Flag("PERCENT", "Fail if fewer cells of the matrix were checked.", parse_percent)
    ] = 0.0
    coverage_min: Annotated[float, Flag("PERCENT", "Fail if less of the contract was exercised.", parse_percent)] = 0.0
    phases: Iterable[str] = PHASES
    """Phases of generated cases; none to check the laws alone."""
    cases: int = 6
    """Generated requests for each operation in the fuzzing phase."""
    baseline: Iterable[str] = ()
    """Fingerprints (law:operation) of known findings, which do not count."""


def read_flags(cls: type) -> list[Flag]:
    """Return the flags of a dataclass's fields."""
    hints = get_type_hints(cls, include_extras=True)
    flags = {name: flag for name, hint in hints.items() for flag in getattr(hint, "__metadata__", ())}
    return [
        replace(flags[item.name], name=flags[item.name].name or item.name, field=item.name, default=item.default)
        for item in fields(cls)
        if item.name in flags
    ]


def parse_flags(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass by name, parsed from flags by name; those not given are left out.

    Raises ConfigError.
    """
    values = [(flag, given.get(flag.name)) for flag in read_flags(cls)]
    return {flag.field: flag.parse_value(value) for flag, value in values if value not in (None, False, [], ())}
