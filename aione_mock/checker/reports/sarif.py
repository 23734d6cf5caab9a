"""Reports as SARIF 2.1.0 for code scanning: a rule for each law, a result for each cause."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

import orjson

from aione_mock.checker.causes import Cause
from aione_mock.checker.report import CheckReport, LawInfo
from aione_mock.errors import ConfigError
from aione_mock.types import Json

_LEVELS = {"violation": "error", "assumption": "warning"}
_HOME = "https://github.com/aione-mock/aione-mock"
_ANY_FILES = (".github/workflows/*.y*ml", "README*", "pyproject.toml", "package.json", "go.mod")
"""What results point at if the run knows no file of the repository; code scanning demands one."""


def render_sarif(report: CheckReport) -> bytes:
    """Return the report as indented JSON."""
    driver = {
        "name": "aione-mock check",
        "version": report.details.tool_version,
        "semanticVersion": report.details.tool_version,
        "informationUri": _HOME,
        "rules": [_render_rule(law) for law in report.laws],
    }
    invocation = {
        "executionSuccessful": not report.could_not,
        "exitCode": report.exit_code,
        "exitCodeDescription": report.verdict,
        **({"startTimeUtc": report.details.started} if report.details.started else {}),
    }
    numbers = {law.name: number for number, law in enumerate(report.laws)}
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": [_render_result(report, cause, numbers) for cause in report.causes],
        "properties": {
            "target": report.url,
            **dict(report.details.rows),
            "coverage": report.coverage.describe(),
        },
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _render_rule(law: LawInfo) -> Json:
    return {
        "id": law.name,
        "name": "".join(word.capitalize() for word in law.name.replace("_", "-").split("-")),
        "shortDescription": {"text": f"{law.title}."},
        "fullDescription": {"text": law.sentence or f"{law.title}."},
        "properties": {"area": law.area, "evidence": law.evidence},
    }


def _render_result(report: CheckReport, cause: Cause, numbers: dict[str, int]) -> Json:
    finding = cause.principal
    text = f"{cause.title}. Expected {finding.expected}; saw {finding.seen}"
    fingerprint = hashlib.sha256(":".join(cause.key).encode()).hexdigest()[:16]
    return {
        "ruleId": finding.law,
        "ruleIndex": numbers[finding.law],
        "level": _LEVELS[cause.severity],
        "message": {"text": f"{text}\n\n{finding.curl}" if finding.curl else text},
        "locations": [_render_location(report.location, cause)],
        # the one fingerprint that GitHub reads, in its form: a hash and how often it occurred before
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:1"},
        "occurrenceCount": cause.count,
    }


def _render_location(given: Path | None, cause: Cause) -> Json:
    root = _find_root()
    path = given if given and _is_inside(given, root) else _find_any_file(root)
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(path.resolve().relative_to(root).as_posix())},
            "region": {"startLine": _find_line(path, cause)},
        },
        "logicalLocations": [{"name": name, "kind": "function"} for name in cause.operations],
    }


def check_location(path: Path) -> None:
    """Raise ConfigError if results cannot point at a file, because it does not exist or is not in the repository."""
    if not path.is_file():
        raise ConfigError(f"--sarif-location names no file: '{path}'; give a file of your repository")
    if not _is_inside(path, root := _find_root()):
        raise ConfigError(
            f"--sarif-location '{path}' is not in the repository '{root}'; give a file of your repository"
        )


def _find_root() -> Path:
    """Return the root of the repository that the current folder belongs to, or else this folder."""
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def _is_inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root)


def _find_any_file(root: Path) -> Path:
    found = (path for pattern in _ANY_FILES for path in sorted(root.glob(pattern)))
    return next(found, root / "README.md")


def _find_line(path: Path, cause: Cause) -> int:
    """Return the first line of a file that names an operation of a cause; 1 if none does."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    numbered = enumerate(lines, start=1)
    return next((number for number, line in numbered if any(name in line for name in cause.operations)), 1)
