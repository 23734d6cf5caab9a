"""Mistakes that a client can make: the fault that shows each, how it is recognized, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aione_mock.testing.calls import quote_text
from aione_mock.testing.resilience.faults import TWO_TOOLS_RULE
from aione_mock.testing.resilience.observation import Observation, Thresholds, collapse_whitespace

_SHORTEST_PAUSE = 0.1
"""Seconds; a shorter time before a retry is no pause."""
_TIMER_TOLERANCE = 0.05
"""Seconds by which a measured wait may be too short."""
FindProblem = Callable[[Observation, Observation, Thresholds], str | None]
"""Compare a run with the run without a fault; return what the client did wrong, or None."""


@dataclass(frozen=True, slots=True)
class ResilienceCheck:
    """A mistake that a client can make."""

    title: str
    """What a client has to do, such as `limits its retries`: it reads well after `ok` and after `FAIL`."""
    fault: str
    """The name of the fault that shows it, or `EVERY_FAULT`."""
    find_problem: FindProblem
    remedy: str
    """What to change in the client."""


def _check_retry_count(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if run.timed_out:
        return f"it was still sending requests after {run.seconds:.0f} s; {len(run.calls)} were answered with 500"
    if run.most_repeated > thresholds.attempts:
        return f"it sent the same request {run.most_repeated} times; each was answered with 500"
    return None


def _check_retry_pause(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    pause = min((seconds for _, seconds in run.list_repetitions()), default=_SHORTEST_PAUSE)
    return f"it sent the same request again {pause * 1000:.0f} ms after an error" if pause < _SHORTEST_PAUSE else None


def _check_retry_after(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    pause = next((seconds for call, seconds in run.list_repetitions() if call.status == 429), None)
    if pause is None or pause >= 1 - _TIMER_TOLERANCE:
        return None
    return f"retry-after was 1 s, but it sent the request again after {pause:.2f} s"


def _check_refused_key(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    count = run.most_repeated
    return f"it sent the same request {count} times with a key that had been refused" if count > 1 else None


def _check_timeout(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    return f"it was still waiting after {thresholds.patience:g} s" if run.timed_out else None


def _check_partial_answer(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    part, complete = collapse_whitespace(run.answer), collapse_whitespace(healthy.answer)
    if not run.succeeded or not part:
        return None
    result = collapse_whitespace(run.result)
    if part in result and (part == complete or complete not in result):
        return f"it accepted {quote_text(part)} as the complete answer, without an error"
    if result == collapse_whitespace(healthy.result):
        return "it ended as if the answer had been complete"
    return None


def _check_finish_reason(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if not run.succeeded or collapse_whitespace(run.result) != collapse_whitespace(healthy.result):
        return None
    return "it accepted the answer as complete, although no finish reason arrived"


def _check_tool_results(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    place = next((i for i, call in enumerate(run.calls) if call.rule == TWO_TOOLS_RULE), None)
    if place is None:
        return None
    before = len(run.calls[place].tool_results)
    added = max((len(call.tool_results) for call in run.calls[place + 1 :]), default=before) - before
    return "the model called two tools, but it sent the result of only one" if added == 1 else None


def _check_web_page(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if run.succeeded and "<html" in run.result.lower():
        return "it accepted a web page as the model's answer"
    return None


def _check_valid_stream(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if run.timed_out:
        return "it did not finish"
    if run.error is not None:
        return f"it failed: {run.error}"
    answer, result = collapse_whitespace(healthy.answer), collapse_whitespace(run.result)
    if answer in collapse_whitespace(healthy.result) and answer not in result:
        return f"it returned {quote_text(result)} where the model said {quote_text(answer)}"
    return None


def _check_log(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    secret = thresholds.secret
    if not secret or secret not in run.log:
        return None
    line = next(line for line in run.log.splitlines() if secret in line)
    before, _, after = line.partition(secret)
    return f"it wrote the API key: {quote_text(f'{before[-40:]}***{after}')}"


EVERY_FAULT = "every fault"
CHECKS: Mapping[str, ResilienceCheck] = {
    "retries_too_often": ResilienceCheck(
        "limits its retries", "broken", _check_retry_count,
        "Limit the attempts: three are enough, as with OpenAI(max_retries=2). Never loop around a client that retries.",
    ),
    "retries_without_pause": ResilienceCheck(
        "pauses before a retry", "broken", _check_retry_pause,
        "Wait before each retry, twice as long each time, with some jitter: 0.5 s, 1 s, 2 s.",
    ),
    "ignores_retry_after": ResilienceCheck(
        "waits for retry-after", "busy", _check_retry_after,
        "If an answer has the header retry-after, wait at least that many seconds before the next attempt.",
    ),
    "retries_refusal": ResilienceCheck(
        "does not retry what cannot succeed", "refused", _check_refused_key,
        "Retry only on 408, 409, 429 and 5xx; another 4xx answer will not change. Raise it.",
    ),
    "hangs": ResilienceCheck(
        "gives up on a silent gateway", "silent", _check_timeout,
        "Give the client a timeout, as in OpenAI(timeout=20): the SDK's default is ten minutes for each attempt.",
    ),
    "hangs_in_stream": ResilienceCheck(
        "gives up on a silent stream", "stalled", _check_timeout,
        "Set a read timeout, which limits the time between two events, not only the time to the first one.",
    ),
    "accepts_truncated_stream": ResilienceCheck(
        "rejects a truncated stream", "cut", _check_partial_answer,
        "Let the connection error reach the caller, or mark the answer as incomplete; do not return the part as all.",
    ),
    "accepts_unfinished_stream": ResilienceCheck(
        "rejects an unfinished stream", "unfinished", _check_finish_reason,
        "Keep the finish reason and raise if a stream ends without one: SDKs do not, and proxies end streams silently.",
    ),
    "swallows_error_event": ResilienceCheck(
        "reports an error event in a stream", "error_event", _check_partial_answer,
        "Look for an error in each event before you read its text; the status was 200 before the error happened.",
    ),
    "drops_last_tool_call": ResilienceCheck(
        "keeps the last tool call", "tools", _check_tool_results,
        "Collect tool calls by their index, and when the stream ends run all of them, the last one included.",
    ),
    "accepts_web_page": ResilienceCheck(
        "rejects a web page as an answer", "web_page", _check_web_page,
        "Check the content type, or parse the answer, before you use it as text.",
    ),
    "breaks_on_legal_stream": ResilienceCheck(
        "reads an unusual but valid stream", "unusual", _check_valid_stream,
        "Use a parser for server-sent events: comments and CRLF are allowed, and a packet may end anywhere.",
    ),
    "leaks_key": ResilienceCheck(
        "keeps the API key out of its log", EVERY_FAULT, _check_log,
        "Log neither the request's headers nor the client's settings, or mask Authorization and x-api-key first.",
    ),
}  # fmt: skip
