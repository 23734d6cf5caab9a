"""The conditions of a run: what makes its report evidence, without credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aione_mock.checker.options import CheckOptions, read_flags
from aione_mock.clock import format_instant
from aione_mock.settings import VERSION

if TYPE_CHECKING:
    from aione_mock.checker.run import CheckRun


@dataclass(frozen=True, slots=True)
class RunDetails:
    """When, with what and under which options a run was made."""

    started: str = ""
    """ISO 8601 time."""
    tool_version: str = VERSION
    contract_versions: Mapping[str, str] = field(default_factory=dict)
    """Document of the contract → its version."""
    overlays: tuple[str, ...] = ()
    """Files that changed the contract."""
    seed: str = "0"
    options: Mapping[str, str] = field(default_factory=dict)
    """Options that were given, as on the command line → value; empty for a switch."""
    credentials: tuple[str, ...] = ()
    """Environment variables that stand for the given credentials."""

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What there is to show, each with its name."""
        options = [f"--{name} {value}".strip() for name, value in self.options.items()]
        rows = (
            ("started", self.started),
            ("tool", f"aione-mock {self.tool_version}"),
            ("contract", ", ".join(f"{name} {version}" for name, version in self.contract_versions.items())),
            ("overlays", ", ".join(self.overlays)),
            ("seed", self.seed),
            ("options", " ".join(options)),
            ("credentials", ", ".join(self.credentials)),
        )
        return [(name, value) for name, value in rows if value]


def describe_run(run: CheckRun) -> RunDetails:
    """Return the details of a run that has begun."""
    target, options = run.context.target, run.options
    return RunDetails(
        started=format_instant(datetime.fromtimestamp(run.started, UTC)) if run.started else "",
        contract_versions={
            name: str(document.get("info", {}).get("version", ""))
            for name, document in run.context.contract.documents.items()
        },
        overlays=tuple(map(str, options.overlays)),
        seed=str(options.seed),
        options=_list_options(options) | ({"model": target.model} if target.model else {}),
        credentials=tuple(f"${credential.variable}" for credential in target.credentials.values()),
    )


def _list_options(options: CheckOptions) -> dict[str, str]:
    """Return the options that differ from their defaults, by flag."""
    found: dict[str, str] = {}
    for flag in read_flags(CheckOptions):
        value = getattr(options, flag.field)
        if value in (flag.default, None) or flag.field in ("seed", "overlays"):
            continue
        found[flag.option] = _format_option(value)
    return found


def _format_option(value: object) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(value, str | int | float | Path):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
