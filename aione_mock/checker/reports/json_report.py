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
    """`law:operation:what`, the same in other runs."""
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
    status: int
    """Status of the answer, 0 without one."""
    curl: str
    """A shell command that repeats the request."""
    python: str
    """Python code that repeats the request."""
    answer: str
    """Status of the answer, and its first characters or the part at fault."""
    overlay: OptionalText
    """An OpenAPI Overlay that makes the contract agree with the target, for assumption mismatches."""


class DetailsModel(_ReportModel):
    """When, with what and under which options the run was made."""

    started: str
    """ISO 8601 time."""
    tool_version: str
    contract_versions: dict[str, str]
    """Document of the contract → its version."""
    overlays: list[str]
    """Files that changed the contract."""
    seed: str
    options: dict[str, str]
    """Option as on the command line → value; empty for a switch."""
    credentials: list[str]
    """Environment variables that stand for the given credentials."""


class CauseModel(_ReportModel):
    """What is wrong, and every finding that shows it."""

    title: str
    """What is wrong, and where."""
    severity: Severity
    """The highest severity of the findings."""
    laws: list[str]
    operations: list[str]
    """Where it was seen, as operationIds."""
    count: int
    """How often it was seen."""
    overlay: OptionalText
    """An OpenAPI Overlay that makes the contract agree with the target, for assumption mismatches."""
    findings: list[FindingModel]
    """The clearest first."""


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


class PartsModel(_ReportModel):
    """Parts of one kind of an operation."""

    seen: list[str]
    missing: list[str]


class CoverageModel(_ReportModel):
    """How much of the contract the run exercised."""

    percent: float
    """The share of all parts that were seen."""
    operations: dict[str, dict[str, PartsModel]]
    """Operation → `statuses`, `error codes`, `forms` (content types of the success) or `parameters` → parts."""


class ReportModel(_ReportModel):
    """The report of one run."""

    format: Literal[2] = 2
    """Raised when a member changes its meaning."""
    tool: str = "aione-mock check"
    url: str
    """Base URL of the target."""
    details: DetailsModel
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
    notes: list[str] = []
    """What is no finding, but worth knowing."""
    counts: CountsModel
    causes: list[CauseModel]
    """What is wrong, the most important first."""
    known: list[str] = Field(validation_alias=AliasChoices("known", "known_fingerprints"))
    """Fingerprints of findings that are in the baseline."""
    gone: list[str] = Field(validation_alias=AliasChoices("gone", "fixed_fingerprints"))
    """Fingerprints of the baseline whose law is kept now."""
    coverage: CoverageModel
    laws: list[LawModel]
    matrix: dict[str, dict[str, CellModel]]
    """Law → operation → result."""


def render_json(report: CheckReport) -> bytes:
    """Return the report as indented JSON."""
    document = ReportModel.model_validate(report).model_dump(mode="json")
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
