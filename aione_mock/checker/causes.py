"""Group findings by their cause, so that one fault of a gateway is one entry of a report.

Each finding has one or more keys. Findings that share a key have the same cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aione_mock.checker.cause_titles import STREAM_MEMBER_LAWS, CauseKey, describe_cause, is_about_status
from aione_mock.checker.deduplication import OPERATION_SERVED
from aione_mock.checker.finding import LawFinding, Severity
from aione_mock.checker.overlay_actions import render_overlay
from aione_mock.structs import replace

_CREDENTIAL_LAWS = ("access-none", "access-malformed", "access-wrong", "ignored_auth", "missing_required_header")
_GENERIC_LAWS = ("no-server-error", "status-declared", "content-type", "positive_data_acceptance")
"""Laws that an answer may break by its status alone."""
_FAILING_STREAMS = ("law", "stream-asked")
_WHOLE_KINDS = ("failing", "credentials")
_FIGURE_AREAS = ("usage", "billing")
"""Areas whose laws compare the figures of an operation with each other and with those of others."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong with a gateway, and every finding that shows it.

    Mismatches stand beside violations only if they follow from these, as where an operation always fails.
    """

    title: str
    key: CauseKey
    """Identifies the cause in other runs."""
    findings: tuple[LawFinding, ...]
    """The clearest first."""

    @property
    def principal(self) -> LawFinding:
        """The finding that shows the cause best."""
        return self.findings[0]

    @property
    def severity(self) -> Severity:
        """The highest severity of the findings."""
        return self.principal.severity

    @property
    def severity_name(self) -> str:
        """The severity in words."""
        return self.principal.severity_name

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that show it."""
        return tuple(dict.fromkeys(finding.operation for finding in self.findings))

    @property
    def laws(self) -> tuple[str, ...]:
        """The laws that it breaks."""
        return tuple(dict.fromkeys(finding.law for finding in self.findings))

    @property
    def count(self) -> int:
        """How often it was seen."""
        return sum(finding.count for finding in self.findings)

    @property
    def times(self) -> str:
        """The count in words, empty for one."""
        return f"{self.count} times" if self.count > 1 else ""

    @property
    def overlay(self) -> str:
        """An overlay that makes the contract agree with the target; empty for violations."""
        if self.severity == "violation":
            return ""
        return render_overlay(action for finding in self.findings for action in finding.actions)

    @property
    def overlay_note(self) -> str:
        """Why there is no overlay for a mismatch, or for a part of it; empty if there is one or should be none."""
        lacking = dict.fromkeys(f.law for f in self.findings if not f.actions)
        if self.severity == "violation" or not lacking:
            return ""
        laws = ", ".join(lacking)
        return f"No small change of the contract accepts this ({laws}); a baseline does (--update-baseline)."

    @property
    def other_findings(self) -> list[tuple[LawFinding, tuple[str, ...]]]:
        """Findings that differ from the clearest in more than the operation, each with its operations."""
        found: dict[tuple[str, str], list[LawFinding]] = {}
        for finding in self.findings:
            found.setdefault((finding.law, finding.subject or finding.expected), []).append(finding)
        return [(alike[0], tuple(dict.fromkeys(f.operation for f in alike))) for alike in list(found.values())[1:]]


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What findings alone do not say about a gateway and its contract."""

    protocols: Mapping[str, str] = field(default_factory=dict)
    """Operation → protocol."""
    areas: Mapping[str, str] = field(default_factory=dict)
    """Law → area."""
    envelopes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Protocol → names at the top of its errors."""
    failing: Mapping[str, int] = field(default_factory=dict)
    """Operation that does not work → the one error that it always answers with."""
    failing_streams: Mapping[str, int] = field(default_factory=dict)
    """Operation whose streams do not work → the server error that it answers them with."""
    accepting: frozenset[str] = frozenset()
    """Operations that accept unknown credentials."""


def group_by_cause(findings: Iterable[LawFinding], facts: GatewayFacts) -> tuple[Cause, ...]:
    """Return the causes of findings, in the order of their first findings: violations, then assumption mismatches."""
    keyed = [(finding, _find_keys(finding, facts)) for finding in findings]
    roots = _join_keys([keys for _, keys in keyed])
    whole = {roots[keys[0]] for finding, keys in keyed if finding.severity == "violation" and _is_whole(keys)}
    groups: dict[tuple[CauseKey, str], list[tuple[LawFinding, CauseKey]]] = {}
    for finding, keys in keyed:
        root = roots[keys[0]]
        groups.setdefault((root, "" if root in whole else finding.severity), []).append((finding, keys[0]))
    causes = [_build_cause(sorted(group, key=lambda pair: _rank_clearness(pair[0]))) for group in groups.values()]
    violated = {cause.key for cause in causes if cause.severity == "violation"}
    causes = [
        replace(cause, key=(*cause.key, "assumed"))
        if cause.severity == "assumption" and cause.key in violated
        else cause
        for cause in causes
    ]
    return tuple(sorted(causes, key=lambda cause: cause.severity == "assumption"))


def _build_cause(group: list[tuple[LawFinding, CauseKey]]) -> Cause:
    findings = tuple(finding for finding, _ in group)
    key = group[0][1]
    return Cause(describe_cause(key, findings), key, findings)


def _is_whole(keys: tuple[CauseKey, ...]) -> bool:
    """Return whether mismatches with the same cause follow from a violation, so that they are no cause of their own."""
    return any(key[0] in _WHOLE_KINDS or key == _FAILING_STREAMS for key in keys)


def _rank_clearness(finding: LawFinding) -> tuple[bool, int, bool]:
    generic = _GENERIC_LAWS.index(finding.law) + 1 if finding.law in _GENERIC_LAWS else 0
    return finding.severity == "assumption", generic, "_" in finding.law


def _join_keys(all_keys: Iterable[tuple[CauseKey, ...]]) -> dict[CauseKey, CauseKey]:
    """Return a key that stands for all keys that findings connect, for each key."""
    roots: dict[CauseKey, CauseKey] = {}

    def find_root(key: CauseKey) -> CauseKey:
        while (root := roots.setdefault(key, key)) != key:
            key = root
        return key

    for first, *others in all_keys:
        root = find_root(first)
        for other in others:
            roots[find_root(other)] = root
    return {key: find_root(key) for key in roots}


def _find_keys(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    return next(keys for find in _KEY_FINDERS if (keys := find(finding, facts)))


def _find_missing(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    return (("missing",),) if finding.law == OPERATION_SERVED.name else ()


def _find_failing(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    status = facts.failing.get(finding.operation)
    return (("failing", str(status)),) if status and finding.status in (0, status) else ()


def _find_failing_stream(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    """Return the key of what the body and headers of an error break that all streams are."""
    status = facts.failing_streams.get(finding.operation)
    return (_FAILING_STREAMS,) if status and finding.status == status else ()


def _find_credentials(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    if not is_about_status(finding):
        return ()
    accepted = finding.status // 100 == 2
    if finding.law in _CREDENTIAL_LAWS:
        return (("credentials", "2xx" if accepted else str(finding.status)), *_link_status(finding))
    is_access = facts.areas.get(finding.law) == "access" and accepted and finding.operation in facts.accepting
    return (("credentials", "2xx"),) if is_access else ()


def _find_header(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    return (("header", finding.subject or finding.law),) if finding.law == "headers" else ()


def _find_error_body(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    if finding.status < 400 or not finding.subject.startswith("/"):
        return ()
    protocol = facts.protocols.get(finding.operation, "")
    if not facts.envelopes.get(protocol, frozenset()) & set(finding.members):
        return (("foreign error", *finding.members),)
    return (("error", protocol),)


def _find_generic(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    if finding.law not in _GENERIC_LAWS:
        return ()
    if finding.status >= 500:
        return (("server error", str(finding.status), finding.media_type),)
    if finding.law == "content-type":
        return (("media type", finding.media_type),)
    return (("law", finding.law, str(finding.status)), *_link_status(finding))


def _link_status(finding: LawFinding) -> tuple[CauseKey, ...]:
    """Return the key that joins a status that a law does not expect with what other laws say about this status."""
    return (("status", finding.operation, str(finding.status)),) if 300 <= finding.status < 500 else ()


def _find_stream_member(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    """Return the key of what the answer lacks that a stream adds up to: one for all its members."""
    return (("stream", finding.operation),) if finding.law in STREAM_MEMBER_LAWS and finding.subject else ()


def _find_body(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    if not finding.subject.startswith("/"):
        return ()
    names = [step for step in finding.subject.split("/") if step not in ("", "*", "data")]
    protocol = facts.protocols.get(finding.operation, "")
    member = ("body", protocol, names[-1] if names else finding.operation)
    return (member, ("component", finding.component)) if finding.component else (member,)


def _find_figures(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    is_figure = facts.areas.get(finding.law) in _FIGURE_AREAS and not is_about_status(finding)
    return (("figures", finding.operation),) if is_figure else ()


def _find_order(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    return (("order", finding.operation),) if finding.law == "stream-order" else ()


def _find_law(finding: LawFinding, facts: GatewayFacts) -> tuple[CauseKey, ...]:
    if is_about_status(finding):
        return (("law", finding.law, str(finding.status)),)
    return (("law", finding.law),)


_KEY_FINDERS: tuple[Callable[[LawFinding, GatewayFacts], tuple[CauseKey, ...]], ...] = (
    _find_missing,
    _find_failing,
    _find_failing_stream,
    _find_credentials,
    _find_header,
    _find_error_body,
    _find_generic,
    _find_stream_member,
    _find_body,
    _find_figures,
    _find_order,
    _find_law,
)
"""The first that gives keys decides."""
