"""Check what clients make of awkward answers, by a check for each, named like its answer.

They run only where they are asked for. Of an answer that is wrong in its words alone, such as one in another language,
nothing but a crash can be seen from outside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aione_mock.scenarios.awkward import AWKWARD_ANSWERS
from aione_mock.testing.calls import quote_text
from aione_mock.testing.resilience.checks import FindProblem, ResilienceCheck
from aione_mock.testing.resilience.faults import FaultScenario, Feature, Rules
from aione_mock.testing.resilience.observation import Observation, Thresholds, collapse_whitespace

_MOST_TURNS = 20
"""How often the same tool may be called; frameworks stop after 10 to 25 turns."""
_RULE = "awkward"
_CUT = "…"
"""What stands for the rest of a text that the journal has cut."""
_CRASH = re.compile(
    r"\b(?:(?:Key|Index|Attribute|Type|Assertion|UnboundLocal|JSONDecode|UnicodeDecode|UnicodeEncode|Recursion|Syntax)"
    r"Error|NullPointerException|panic)\b"
)
"""Errors that a program raises by mistake, not to report something."""


def _check_crash(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if run.timed_out:
        return "it did not finish"
    return f"it crashed: {run.error}" if run.error and _CRASH.search(run.error) else None


def _check_success(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if run.timed_out:
        return "it did not finish"
    return f"it failed: {run.error}" if run.error else None


def _check_incomplete(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if run.succeeded and run.calls and run.calls[-1].rule == _RULE:  # it did not ask again
        part = collapse_whitespace(run.calls[-1].text)
        if part in collapse_whitespace(run.result):
            return f"it accepted {quote_text(part)} as the complete answer"
    return _check_crash(run, healthy, thresholds)


def _check_empty(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if run.succeeded and not run.result.strip() and healthy.result.strip():
        return "it returned nothing as if that were the answer"
    return _check_crash(run, healthy, thresholds)


def _check_verbatim(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    if problem := _check_success(run, healthy, thresholds):
        return problem
    answer, result = collapse_whitespace(run.answer), collapse_whitespace(run.result)
    if collapse_whitespace(healthy.answer) not in collapse_whitespace(healthy.result):
        return None
    if answer.removesuffix(_CUT) not in result:
        return f"it returned {quote_text(result)} where the model said {quote_text(answer)}"
    # of a long text the journal keeps the beginning; no token is shorter than a character
    tokens = run.calls[-1].usage.completion if answer.endswith(_CUT) and run.calls[-1].usage else 0
    return f"it returned {len(result):,} characters of an answer of {tokens:,} tokens" if len(result) < tokens else None


def _check_turns(run: Observation, healthy: Observation, thresholds: Thresholds) -> str | None:
    turns = sum(call.rule == _RULE for call in run.calls)
    if turns >= _MOST_TURNS:
        return f"it ran the same tool with the same arguments {turns} times"
    return _check_crash(run, healthy, thresholds)


_ASK_AGAIN = (
    "Strip what stands around the JSON, then parse and validate it; if that fails, tell the model and ask again."
)
_TOOL_RESULT = "answer the call with a tool result that says so, and let the model go on."
_CHECK_WORDS = "Treat it as text like any other: what a model says may be anything."
_EMPTY = "Ask again, or raise: an answer without words and without a tool call is none."
_UNICODE = "Keep the text in Unicode from end to end, and cut or measure it by characters that readers see (UAX 29)."
# name: what the client must use, how often it is played, how the mistake is recognized, what to change
_TABLE: Mapping[str, tuple[Feature | None, int, FindProblem, str]] = {
    "refusal": (None, 1, _check_crash, "Read `refusal` where a schema was to be followed, and show or report it."),
    "content_filter": (
        None, 1, _check_incomplete,
        "Look at the finish reason: content_filter, refusal and SAFETY mean that the rest is missing.",
    ),
    "fenced_json": ("json", 1, _check_success, _ASK_AGAIN),
    "trailing_comma_json": ("json", 1, _check_success, _ASK_AGAIN),
    "truncated_json": (
        "json", 1, _check_incomplete,
        "Look at the finish reason: after length, max_tokens or MAX_TOKENS do not parse; ask again with more room.",
    ),
    "almost_schema": ("schema", 1, _check_success, _ASK_AGAIN),
    "invented_tool": ("tools", 1, _check_success, f"Look up the name; if there is no such tool, {_TOOL_RESULT}"),
    "arguments_not_json": ("tools", 1, _check_success, f"Expect arguments that cannot be parsed: {_TOOL_RESULT}"),
    "arguments_against_schema": ("tools", 1, _check_success, f"Validate arguments first; if invalid, {_TOOL_RESULT}"),
    "same_tool_again": (
        "tools", _MOST_TURNS, _check_turns,
        "Limit the turns, ten are enough; stop when the same call comes with the same arguments again.",
    ),
    "tool_and_text": ("tools", 1, _check_success, "Run the tools of an answer whether or not it has text as well."),
    "empty_answer": (None, 1, _check_empty, _EMPTY),
    "whitespace_only": (None, 1, _check_empty, _EMPTY),
    "very_long": (None, 1, _check_verbatim, "Set max_tokens, or leave room for long answers where they are stored."),
    "right_to_left": (None, 1, _check_verbatim, _UNICODE),
    "combining_characters": (None, 1, _check_verbatim, _UNICODE),
    "split_emoji": (None, 1, _check_verbatim, _UNICODE),
    "thinking_only": (
        "thinking", 1, _check_empty,
        "Look at the finish reason: after length without text, ask again with more room than the thinking takes.",
    ),
    "wrong_language": (None, 1, _check_crash, _CHECK_WORDS),
    "echoed_prompt": (None, 1, _check_crash, _CHECK_WORDS),
    "wrong_model_name": (None, 1, _check_crash, _CHECK_WORDS),
    "hallucinated_citation": (None, 1, _check_crash, _CHECK_WORDS),
}  # fmt: skip


def _make_scenario(name: str, needs: Feature | None, times: int) -> FaultScenario:
    rules: Rules = [{"id": _RULE, "then": {"awkward": name, "times": times}}]
    return FaultScenario(lambda thresholds, healthy: rules, needs)


AWKWARD_SCENARIOS: Mapping[str, FaultScenario] = {
    name: _make_scenario(name, needs, times) for name, (needs, times, _, _) in _TABLE.items()
}
AWKWARD_CHECKS: Mapping[str, ResilienceCheck] = {
    name: ResilienceCheck(AWKWARD_ANSWERS[name].title, name, find_problem, remedy)
    for name, (_, _, find_problem, remedy) in _TABLE.items()
}
