"""What a client may do wrong: the trial that shows it, how it is seen, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aione_mock.testing.calls import shown
from aione_mock.testing.resilience.faults import TOOLS_RULE
from aione_mock.testing.resilience.observation import Run, Setting, plain

_SOON = 0.1
"""Seconds; who asks again sooner has not paused."""
_TOLERANCE = 0.05
"""Seconds by which a wait may seem too short."""
Judge = Callable[[Run, Run, Setting], str | None]
"""What is wrong with a run, next to the healthy one; None if nothing is."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something a client may do wrong, the trial that shows it, and what to change."""

    title: str
    trial: str
    judge: Judge
    change: str


def _retries_too_often(run: Run, healthy: Run, setting: Setting) -> str | None:
    if run.timed_out:
        return f"it was still asking after {run.seconds:.0f} s and {len(run.calls)} requests, each answered with 500"
    if run.most_repeated > setting.attempts:
        return f"it sent the same request {run.most_repeated} times; each was answered with 500"
    return None


def _retries_without_pause(run: Run, healthy: Run, setting: Setting) -> str | None:
    gap = min((gap for _, gap in run.gaps()), default=_SOON)
    return f"it sent the same request again {gap * 1000:.0f} ms after an error" if gap < _SOON else None


def _ignores_retry_after(run: Run, healthy: Run, setting: Setting) -> str | None:
    gap = next((gap for call, gap in run.gaps() if call.status == 429), None)
    if gap is None or gap >= 1 - _TOLERANCE:
        return None
    return f"it was told to wait 1 s and came back after {gap:.2f} s"


def _retries_refusal(run: Run, healthy: Run, setting: Setting) -> str | None:
    count = run.most_repeated
    return f"it sent the same request {count} times with a key that had been refused" if count > 1 else None


def _hangs(run: Run, healthy: Run, setting: Setting) -> str | None:
    return f"it had not given up after {setting.patience:g} s" if run.timed_out else None


def _accepts_truncated(run: Run, healthy: Run, setting: Setting) -> str | None:
    part, whole = plain(run.said), plain(healthy.said)
    if not run.content or not part:
        return None
    result = plain(run.result)
    if part in result and (part == whole or whole not in result):
        return f"it took {shown(part)} for the whole answer, without an error"
    if result == plain(healthy.result):
        return "it ended as if the answer had been whole"
    return None


def _accepts_unfinished(run: Run, healthy: Run, setting: Setting) -> str | None:
    if not run.content or plain(run.result) != plain(healthy.result):
        return None
    return "it took the answer for whole, though no finish reason came"


def _drops_tool_call(run: Run, healthy: Run, setting: Setting) -> str | None:
    place = next((i for i, call in enumerate(run.calls) if call.rule == TOOLS_RULE), None)
    if place is None:
        return None
    before = len(run.calls[place].tool_results)
    brought = max((len(call.tool_results) for call in run.calls[place + 1 :]), default=before) - before
    return "the model called two tools; the result of only one came back" if brought == 1 else None


def _accepts_web_page(run: Run, healthy: Run, setting: Setting) -> str | None:
    if run.content and "<html" in run.result.lower():
        return "it took a web page for the model's answer"
    return None


def _breaks_on_legal(run: Run, healthy: Run, setting: Setting) -> str | None:
    if run.timed_out:
        return "it did not come to an end"
    if run.error is not None:
        return f"it failed: {run.error}"
    whole = plain(healthy.said)
    if whole in plain(healthy.result) and whole not in plain(run.result):
        return f"it made {shown(plain(run.result))} of {shown(whole)}"
    return None


def _leaks_key(run: Run, healthy: Run, setting: Setting) -> str | None:
    if not setting.secret or setting.secret not in run.log:
        return None
    line = next(line for line in run.log.splitlines() if setting.secret in line)
    before, _, after = line.partition(setting.secret)
    return f"it wrote the API key: {shown(f'{before[-40:]}***{after}')}"


EVERY = "every trial"
VERDICTS: Mapping[str, Verdict] = {
    "retries_too_often": Verdict(
        "retries too often", "broken", _retries_too_often,
        "Bound the attempts: three are plenty, as with OpenAI(max_retries=2). Never loop around a client that retries.",
    ),
    "retries_without_pause": Verdict(
        "retries without a pause", "broken", _retries_without_pause,
        "Wait before each retry, twice as long each time, with some jitter: 0.5 s, 1 s, 2 s.",
    ),
    "ignores_retry_after": Verdict(
        "ignores retry-after", "busy", _ignores_retry_after,
        "When an answer has the header retry-after, wait at least so many seconds before the next attempt.",
    ),
    "retries_refusal": Verdict(
        "retries what cannot succeed", "refused", _retries_refusal,
        "Retry on 408, 409, 429 and 5xx alone; other 4xx answers stay what they are. Raise them.",
    ),
    "hangs": Verdict(
        "hangs without time-out", "silent", _hangs,
        "Give the client a time-out, as in OpenAI(timeout=20): the SDK's own is ten minutes, once per attempt.",
    ),
    "hangs_in_stream": Verdict(
        "hangs in a stream", "stalled", _hangs,
        "Set a read time-out, which bounds the time between two events, not only the time to the first.",
    ),
    "accepts_truncated_stream": Verdict(
        "accepts a truncated stream as whole", "cut", _accepts_truncated,
        "Let the connection error reach the caller, or mark the answer as incomplete; do not return what came so far.",
    ),
    "accepts_unfinished_stream": Verdict(
        "accepts an unfinished stream as whole", "unfinished", _accepts_unfinished,
        "Remember the finish reason, and raise when a stream ends without one: SDKs do not, and proxies cut politely.",
    ),
    "swallows_error_event": Verdict(
        "swallows an error in a stream", "spoilt", _accepts_truncated,
        "Look at each event for an error before looking for words; the status was 200 long ago.",
    ),
    "drops_last_tool_call": Verdict(
        "drops the last tool call", "tools", _drops_tool_call,
        "Collect tool calls by their index, and run all that are there when the stream ends, the last one included.",
    ),
    "accepts_web_page": Verdict(
        "accepts a web page as an answer", "web_page", _accepts_web_page,
        "Check the content type, or parse the answer, before using it as text.",
    ),
    "breaks_on_legal_stream": Verdict(
        "breaks on a stream that is right", "awkward", _breaks_on_legal,
        "Use a parser of server-sent events: comments and CRLF are allowed, and a packet may end anywhere.",
    ),
    "leaks_key": Verdict(
        "leaks a key in its log", EVERY, _leaks_key,
        "Log neither the request's headers nor the client's settings, or mask Authorization and x-api-key first.",
    ),
}  # fmt: skip
