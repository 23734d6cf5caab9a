"""Turn broken laws into findings, with the request to repeat and the overlay to apply."""

from __future__ import annotations

from aione_mock.checker.context import LawContext
from aione_mock.checker.exchange import shorten_body
from aione_mock.checker.finding import BrokenLaw, LawFinding
from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.overlay_suggestions import render_overlay, switch_off
from aione_mock.checker.reproduction import render_curl, render_python
from aione_mock.structs import replace

_MAX_ANSWER_CHARACTERS = 400


class FindingCollector:
    """Collects findings: one for each law, operation and expectation, with a count."""

    def __init__(self, context: LawContext) -> None:
        self._context = context
        self._findings: dict[tuple[str, str, str], LawFinding] = {}

    @property
    def findings(self) -> tuple[LawFinding, ...]:
        """The findings in the order in which they were first seen."""
        return tuple(self._findings.values())

    def add(self, law: Law | ExchangeRule, broken: BrokenLaw) -> None:
        """Add a finding, or count one that is there."""
        key = (law.name, broken.operation, broken.expected)
        known = self._findings.get(key)
        self._findings[key] = replace(known, count=known.count + 1) if known else self._build_finding(law, broken)

    def add_finding(self, finding: LawFinding) -> None:
        """Add a finding, or its count to that of one that is there."""
        key = (finding.law, finding.operation, finding.expected)
        known = self._findings.get(key)
        self._findings[key] = replace(known, count=known.count + finding.count) if known else finding

    def _build_finding(self, law: Law | ExchangeRule, broken: BrokenLaw) -> LawFinding:
        operation = self._context.contract.operations[broken.operation]
        mask, origin = self._context.client.mask, self._context.target.origin
        evidence = broken.evidence or _weaker_evidence(law.evidence, operation.evidence)
        actions = broken.overlay or switch_off(operation, law.name)
        exchange = broken.exchange
        return LawFinding(
            law=law.name,
            title=law.title,
            operation=broken.operation,
            evidence=evidence,
            expected=mask.apply(broken.expected),
            seen=mask.apply(broken.seen),
            curl=render_curl(exchange.request, origin, mask) if exchange else "",
            python=render_python(exchange.request, origin, mask) if exchange else "",
            overlay=render_overlay(actions, f"As {origin} does it") if evidence == "assumed" else "",
            answer=mask.apply(f"{exchange.summary} {shorten_body(exchange.body, _MAX_ANSWER_CHARACTERS)}")
            if exchange
            else "",
        )


def _weaker_evidence(left: str, right: str) -> str:
    return "assumed" if "assumed" in (left, right) else left
