"""Turn broken laws into findings, with the request to repeat and the overlay to apply."""

from __future__ import annotations

import orjson

from aione_mock.checker.cause_titles import is_about_status
from aione_mock.checker.context import LawContext
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.finding import BrokenLaw, LawFinding
from aione_mock.checker.law import ExchangeRule, Law
from aione_mock.checker.law_entries import find_law_evidence
from aione_mock.checker.overlay_actions import join_actions
from aione_mock.checker.overlay_suggestions import switch_off
from aione_mock.checker.reproduction import render_curl, render_python
from aione_mock.checker.schema_lookup import choose_weakest_evidence
from aione_mock.contract import Operation
from aione_mock.structs import replace

_MAX_ANSWER_CHARACTERS = 400
_MAX_MEMBERS = 8
_LAWS_OF_PLACES = ("schema", "stream-events")
"""Laws about many places of the contract, so that no overlay switches them off."""
_MAX_READ_BYTES = 65_536


class FindingCollector:
    """Collects findings, one for each fingerprint and for each status that a law does not expect, with a count."""

    def __init__(self, context: LawContext) -> None:
        self._context = context
        self._findings: dict[tuple[str, int], LawFinding] = {}

    @property
    def findings(self) -> tuple[LawFinding, ...]:
        """The findings in the order in which they were first seen."""
        return tuple(self._findings.values())

    def add(self, law: Law | ExchangeRule, broken: BrokenLaw) -> None:
        """Add what a law or rule found."""
        self.add_finding(self.build_finding(law, broken))

    def add_finding(self, finding: LawFinding) -> None:
        """Add a finding, or its count to that of one that is there. The clearer one is kept."""
        key = (finding.fingerprint, finding.status if is_about_status(finding) else 0)
        known = self._findings.get(key)
        if known is not None:
            clearer = min(known, finding, key=_rank_clearness)
            actions = join_actions(known.actions, finding.actions) if clearer.actions else ()
            finding = replace(clearer, count=known.count + finding.count, actions=actions)
        self._findings[key] = finding

    def _find_law_evidence(self, law: Law | ExchangeRule, operation: Operation) -> str | None:
        """Return the evidence of a law. Rules take that of the place that differs."""
        return find_law_evidence(self._context.contract, law.name, operation) if isinstance(law, Law) else None

    def build_finding(self, law: Law | ExchangeRule, broken: BrokenLaw) -> LawFinding:
        """Return what a law or rule found as reports show it."""
        operation = self._context.contract.operations[broken.operation]
        mask, origin = self._context.client.mask, self._context.target.origin
        evidence = choose_weakest_evidence(
            self._find_law_evidence(law, operation), broken.evidence or operation.evidence
        )
        actions = broken.overlay
        if not actions and law.name not in _LAWS_OF_PLACES:
            actions = switch_off(operation, law.name)
        exchange = broken.exchange
        # a rule holds for every key, so the target's own one shows it too
        shown = mask.with_own_key() if isinstance(law, ExchangeRule) and self._context.target.key else mask
        return LawFinding(
            law=law.name,
            title=law.title,
            operation=broken.operation,
            evidence=evidence,
            expected=mask.apply(broken.expected),
            seen=mask.apply(broken.seen),
            curl=render_curl(exchange.request, origin, shown) if exchange else "",
            python=render_python(exchange.request, origin, shown) if exchange else "",
            actions=actions if evidence == "assumed" else (),
            answer=mask.apply_to_answer(_describe_answer(exchange, broken.excerpt)) if exchange else "",
            status=exchange.status if exchange else 0,
            media_type=exchange.media_type if exchange else "",
            members=list_members(exchange.body) if exchange else (),
            subject=broken.subject,
            component=broken.component,
        )


def _rank_clearness(finding: LawFinding) -> tuple[bool, bool, int, int]:
    """Rank a violation before an assumption mismatch, a success before an error, and a short request before a long."""
    return finding.severity == "assumption", not finding.curl, finding.status // 100, len(finding.curl)


def _describe_answer(exchange: HttpExchange, excerpt: str) -> str:
    """Return the status and the part of a body that shows what is wrong."""
    if excerpt:
        return f"{exchange.summary} … {excerpt}"
    body = exchange.body
    if exchange.is_event_stream and len(body) > 2 * _MAX_ANSWER_CHARACTERS:
        half = _MAX_ANSWER_CHARACTERS // 2
        return f"{exchange.summary} {shorten_body(body[:half], half)} … {shorten_body(body[-half:], half)}"
    return f"{exchange.summary} {shorten_body(body, _MAX_ANSWER_CHARACTERS)}"


def list_members(body: bytes) -> tuple[str, ...]:
    """Return the names at the top of a JSON object, sorted; none for another body."""
    try:
        value = orjson.loads(body) if len(body) <= _MAX_READ_BYTES else None
    except orjson.JSONDecodeError:
        value = None
    return tuple(sorted(value)[:_MAX_MEMBERS]) if isinstance(value, dict) else ()
