"""Say in a sentence what is wrong with a gateway."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from aione_mock.checker.finding import LawFinding

CauseKey = tuple[str, ...]
"""The kind of a cause, and what tells it from others of the kind."""
_MAX_NAMES = 3
"""Names that a title lists; of more, it gives the number."""
_MAX_MEMBERS = 6
STREAM_MEMBER_LAWS = ("stream-adds-up", "stream-plain", "stream-usage")
"""Laws about the members of the answer that a stream adds up to."""
_STREAM_LAWS = {"stream-events", *STREAM_MEMBER_LAWS}
_STATUS = re.compile(r"[1-5]\d\d\b")
_SUBJECT = re.compile(r"(.+?) (?:are|is) (?:rejected|refused|accepted|not found|handled|answered|limited|ignored)\b")
_NEGATIONS = (
    (re.compile(r" (are|is|must) "), r" \1 not "),
    (re.compile(r" (match|have|name|see|begin|follow|fit|report|reduce) "), r" do not \1 "),
)
_IRREGULAR = {
    "No request causes a server error": "Requests cause server errors",
    "Errors do not repeat the key": "Errors repeat the key",
    "Old secrets have a grace period": "Old secrets have no grace period",
    "At most two secrets are valid": "More than two secrets are valid",
    "Image models reject what they cannot do": "Image models do not reject what they cannot do",
    "The console lists every invalid parameter": "The console does not list every invalid parameter",
    "Errors repeat the request id": "Errors do not repeat the request id",
    "Unknown keys are not found": "Unknown keys are found",
    "Unknown paths are not found": "Unknown paths are found",
    "Lists show no secret": "Lists show secrets",
    "Updates change only their members": "Updates change other members",
    "Rotation gives a new secret": "Rotation gives no new secret",
    "Disabled keys are not rotated": "Disabled keys are rotated",
    "Empty lists do not restrict": "Empty lists restrict",
    "Another organisation's key is not found": "Another organisation's key is found",
    "No operation reaches another organisation": "An operation reaches another organisation",
    "Lists have nothing in common": "Lists of two organisations have something in common",
    "Each organisation has its account": "Two organisations have one account",
    "Teams belong to one organisation": "Teams belong to two organisations",
    "Usage rows add up": "Usage rows do not add up",
    "All groupings have the same totals": "Groupings have different totals",
    "Windows select their days": "Windows select other days",
    "Filters select usage": "Filters do not select usage",
    "Windows have at most 90 days": "Windows may have more than 90 days",
    "The trend has every day": "The trend lacks days",
    "The technical view adds up": "The technical view does not add up",
    "The business view adds up": "The business view does not add up",
    "Both views show the same cost": "The two views show different costs",
    "The dashboard shows the usage": "The dashboard does not show the usage",
    "Calls add their usage": "Calls do not add their usage",
    "Rejected calls cost nothing": "Rejected calls cost something",
    "Each month has one invoice, newest first": "Months do not have one invoice each, newest first",
    "Invoices have pages": "Invoices have no pages",
    "Invoices charge usage and fee": "Invoices charge something else than usage and fee",
    "The plan names the listed models": "The plan names other models than are listed",
    "Curves have all buckets": "Curves lack buckets",
    "Windows exclude their end": "Windows include their end",
    "Charts, metrics and logs agree": "Charts, metrics and logs disagree",
    "Curves agree with each other": "Curves disagree with each other",
    "Log rows add up": "Log rows do not add up",
    "The log has pages": "The log has no pages",
    "Filters select calls": "Filters do not select calls",
    "Events add up to an answer": "Events do not add up to an answer",
    "Streams and plain answers agree": "Streams and plain answers disagree",
    "Fragments of tool calls fit": "Fragments of tool calls do not fit",
    "Characters are not split": "Characters are split",
    "Without alt=sse, JSON is sent": "Without alt=sse, no JSON array is sent",
    "Usage adds up": "Usage does not add up",
    "Longer prompts count more": "Longer prompts do not count more",
    "Token counting agrees with answers": "Token counting disagrees with answers",
    "Answers respect their limit": "Answers exceed their limit",
    "Answers end at stop sequences": "Answers do not end at stop sequences",
    "Every answer has its own id": "Answers share an id",
    "New limits apply at once": "New limits do not apply at once",
    "429 reports that nothing remains": "429 does not report that nothing remains",
    "Any script is answered": "Some scripts are not answered",
    "The lists of models agree": "The lists of models disagree",
    "No model is listed twice": "Models are listed twice",
    "Gemini's list has pages": "Gemini's list has no pages",
    "Each text gets a vector": "Not every text gets a vector",
    "The same text has the same vector": "The same text has different vectors",
    "Base64 holds the same numbers": "Base64 holds other numbers",
    "Plain questions get a response": "Plain questions get no response",
    "Tokens of responses add up": "Tokens of responses do not add up",
    "Events add up to the response": "Events do not add up to the response",
    "Conversations go on": "Conversations do not go on",
    "JSON fits the schema": "JSON does not fit the schema",
    "405 lists the allowed methods": "405 does not list the allowed methods",
}
"""Title of a law → what is wrong if it is broken, where no `not` can be put in."""


def describe_cause(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    """Return what is wrong and where. The first finding is the clearest."""
    return _TITLES[key[0]](key, findings)


def negate_title(title: str) -> str:
    """Return what is wrong if the law with this title is broken."""
    if title in _IRREGULAR:
        return _IRREGULAR[title]
    for pattern, negated in _NEGATIONS:
        if pattern.search(title):
            return pattern.sub(negated, title, count=1)
    return f"Broken: {title}"


def is_about_status(finding: LawFinding) -> bool:
    """Return whether an answer has another status than expected."""
    return not finding.subject and bool(_STATUS.match(finding.expected)) and _STATUS.match(finding.seen) is not None


def join_names(names: Iterable[str], noun: str = "operations", limit: int = _MAX_NAMES) -> str:
    """Return names as a list in words, or how many there are."""
    listed = list(dict.fromkeys(names))
    if len(listed) > limit:
        return f"{len(listed)} {noun}"
    return f"{', '.join(listed[:-1])} and {listed[-1]}" if len(listed) > 1 else "".join(listed)


def _join_operations(findings: Iterable[LawFinding]) -> str:
    return join_names(finding.operation for finding in findings)


def _choose_verb(findings: Iterable[LawFinding], singular: str, plural: str) -> str:
    return plural if len({finding.operation for finding in findings}) > 1 else singular


def _describe_missing(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    return f"{_join_operations(findings)} {_choose_verb(findings, 'does', 'do')} not exist"


def _describe_failing(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    return f"{_join_operations(findings)} always {_choose_verb(findings, 'answers', 'answer')} {key[1]}"


def _describe_credentials(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    laws = {finding.law for finding in findings}
    if key[1] != "2xx":
        kinds = {"access-none": "missing", "access-malformed": "unreadable", "access-wrong": "unknown"}
        words = join_names([word for law, word in kinds.items() if law in laws] or ["missing"])
        wanted = _STATUS.match(findings[0].expected)
        instead = f" instead of {wanted[0]}" if wanted else ""
        return f"{words.capitalize()} credentials are answered {key[1]}{instead} by {_join_operations(findings)}"
    what = "Any key is" if "access-wrong" in laws else "Requests without a credential are"
    if laws & {"access-none", "ignored_auth"} and "access-wrong" in laws:
        what = "Any key, or none, is"
    return f"{what} accepted by {_join_operations(findings)}"


def _describe_header(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    name, _, kind = key[1].partition(" of type ")
    wrong = f"is not of type {kind}" if kind else "is missing"
    return f"Header {name} {wrong} in answers of {_join_operations(findings)}"


def _describe_error(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    return f"{_describe_members(findings, whole=True)} in errors of {_join_operations(findings)}"


def _describe_foreign_error(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    names = join_names(key[1:], "other members", _MAX_MEMBERS)
    has = f"have only {names}" if names else "are no JSON object"
    return f"Errors of {_join_operations(findings)} {has}, not the envelope of their protocol"


def _describe_server_error(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    return f"Requests cause server errors ({' '.join(filter(None, key[1:]))}) at {_join_operations(findings)}"


def _describe_media_type(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    return f"Answers of {_join_operations(findings)} have the content type {key[1] or 'none'}"


def _describe_body(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    laws = {finding.law for finding in findings}
    where, streams = _join_operations(findings), laws <= _STREAM_LAWS
    if laws <= set(STREAM_MEMBER_LAWS):
        return f"{_describe_members(findings)} in the answer that streams of {where} add up to"
    return f"{_describe_members(findings)} in {'streams' if streams else 'answers'} of {where}"


def _describe_order(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    changing = [finding.subject.rpartition("/")[2] for finding in findings if finding.subject.startswith("constant ")]
    if len(changing) < len(findings):
        mistake, found, _ = findings[0].seen.partition("; events come as ")
        return f"{mistake[0].upper()}{mistake[1:]} at {key[1]}" if found else _describe_law(key, findings)
    return f"{join_names(changing)} {'changes' if len(changing) == 1 else 'change'} within streams of {key[1]}"


def _describe_members(findings: Sequence[LawFinding], *, whole: bool = False) -> str:
    """Return which members are missing, unexpected or wrong. With `whole`, members have their path."""
    states: dict[str, str] = {}
    for finding in findings:
        if finding.subject.startswith("/"):
            states.setdefault(_name_member(finding.subject, whole), _describe_member_state(finding))
    shown = []
    for state in dict.fromkeys(states.values()):
        names = [name for name, its_state in states.items() if its_state == state]
        verb = "is" if len(names) == 1 else "are"
        shown.append(f"{join_names(names, 'members', _MAX_MEMBERS)} {verb} {state}")
    return " and ".join(shown)


def _name_member(pointer: str, whole: bool) -> str:
    steps = [step for step in pointer.split("/") if step not in ("", "*")]
    return ".".join(steps if whole else steps[-1:]) or "the body"


def _describe_member_state(finding: LawFinding) -> str:
    seen = finding.seen
    if "is a required property" in seen or seen.startswith("no ") or ": nothing streamed" in seen:
        return "missing"
    if ": null is not " in seen:
        return "null"
    return "unexpected" if "Additional properties" in seen else "wrong"


def _describe_figures(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    if len({finding.law for finding in findings}) == 1:
        return _describe_law(key, findings)
    return f"Figures of {key[1]} do not agree"


def _describe_law(key: CauseKey, findings: Sequence[LawFinding]) -> str:
    finding, where = findings[0], _join_operations(findings)
    subject = _SUBJECT.match(finding.title)
    wanted = _STATUS.match(finding.expected)
    if finding.status >= 500 and subject:
        instead = f" instead of {wanted[0]}" if wanted else ""
        return f"{subject[1]} are answered {finding.status}{instead} by {where}"
    if not is_about_status(finding) or not subject or not wanted:
        return f"{negate_title(finding.title)} at {where}"
    if finding.status // 100 == 2 and wanted[0][0] == "4":
        return f"{subject[1]} are accepted by {where}"
    return f"{subject[1]} are answered {finding.status} instead of {wanted[0]} by {where}"


_TITLES: dict[str, Callable[[CauseKey, Sequence[LawFinding]], str]] = {
    "missing": _describe_missing,
    "failing": _describe_failing,
    "credentials": _describe_credentials,
    "header": _describe_header,
    "error": _describe_error,
    "foreign error": _describe_foreign_error,
    "server error": _describe_server_error,
    "media type": _describe_media_type,
    "body": _describe_body,
    "stream": _describe_body,
    "order": _describe_order,
    "figures": _describe_figures,
    "law": _describe_law,
}
"""Kind of a cause → its sentence."""
