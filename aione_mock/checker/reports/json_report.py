"""Reports as JSON. These models define the format."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SerializerFunctionWrapHandler
from pydantic import model_serializer as serializer

from aione_mock.checker.finding import Severity
from aione_mock.checker.report import CheckReport
from aione_mock.types import Json

OptionalText = Annotated[str | None, BeforeValidator(lambda text: text or None)]


class _ReportModel(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True, extra="forbid")


class CountsModel(_ReportModel):
    """What the run did."""

    operations: int
    """Operations in the run."""
    laws: int
    """Laws and rules in the run."""
    requests: int
    """Requests sent to the target."""
    cases: int
    """The generated ones of the requests."""
    paid_calls: int
    """Model calls that were not rejected."""
    spent_rmb: str
    """Estimated cost in RMB, with four decimal places."""
    seconds: float
    """Duration of the run."""
    statuses: dict[int, int]
    """HTTP status → number of answers; 0 for no answer."""
    kept: int
    """Cells of the matrix that are kept."""
    broken: int
    """Cells of the matrix that are broken."""
    not_checked: int
    """Cells of the matrix that were not checked."""


class FindingModel(_ReportModel):
    """A law that an operation breaks."""

    fingerprint: str
    """`law:operation`, the same in other runs."""
    law: str
    title: str
    """What the law says, in a few words."""
    operation: str
    """The operationId."""
    severity: Severity
    """`assumption` if the contract only assumes what was broken."""
    evidence: str
    """How the contract knows what was broken: `documented`, `deduced` or `assumed`."""
    expected: str
    seen: str
    count: int
    """How often it was seen."""
    curl: str
    """A shell command that repeats the request."""
    python: str
    """Python code that repeats the request."""
    answer: str
    """Status and first characters of the answer."""
    overlay: OptionalText
    """An OpenAPI Overlay that makes the contract agree with the target, for assumption mismatches."""


class LawModel(_ReportModel):
    """A law, rule or generated check of the matrix."""

    name: str
    title: str
    sentence: str
    """What a gateway has to do; empty for generated checks."""
    evidence: str
    area: str


class CellModel(_ReportModel):
    """The result of one law for one operation."""

    state: Literal["kept", "broken", "not checked"]
    reason: str = ""
    """Why it was not checked, or what was seen; left out if empty."""

    @serializer(mode="wrap")
    def _omit_empty_reason(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Json]:
        return {name: value for name, value in serialize(self).items() if value}


class ReportModel(_ReportModel):
    """The report of one run."""

    format: Literal[1] = 1
    """Raised when a member changes its meaning."""
    tool: str = "aione-mock check"
    url: str
    """Base URL of the target."""
    verdict: str
    """The result in one sentence."""
    exit_code: Literal[0, 1, 2]
    """0 if all laws are kept, 1 with findings, 2 if nothing could be checked."""
    stopped: OptionalText
    """Why the run ended early."""
    could_not: OptionalText
    """Why nothing could be checked."""
    unclean: list[str] = Field(validation_alias=AliasChoices("unclean", "keys_left"))
    """Temporary API keys that could not be deleted."""
    counts: CountsModel
    findings: list[FindingModel]
    """One for each law, operation and expectation, the most important first."""
    known: list[str] = Field(validation_alias=AliasChoices("known", "known_fingerprints"))
    """Fingerprints of findings that are in the baseline."""
    gone: list[str] = Field(validation_alias=AliasChoices("gone", "fixed_fingerprints"))
    """Fingerprints of the baseline whose law is kept now."""
    laws: list[LawModel]
    matrix: dict[str, dict[str, CellModel]]
    """Law → operation → result."""


def render_json(report: CheckReport) -> bytes:
    """Return the report as indented JSON."""
    document = ReportModel.model_validate(report).model_dump(mode="json")
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
