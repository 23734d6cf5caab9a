"""The table of awkward answers: what real models say through a correct gateway, and applications stumble over.

`model.awkward` composes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from aione_mock.structs import frozen

Need = Literal["tools", "schema", "thinking"]

_MISSING: Mapping[Need, str] = {
    "tools": "needs tools, but the request offers none that may be called",
    "schema": "needs a JSON schema for the answer, but the request has none",
    "thinking": "needs a model that thinks, but the request asks for no thinking",
}


@frozen
class AwkwardAnswer:
    """An awkward answer by name, and what a request must have for it."""

    name: str
    title: str
    needs: Need | None = None


# in the order in which they are listed to users
_ANSWERS = (
    AwkwardAnswer("refusal", "The model declines to answer"),
    AwkwardAnswer("content_filter", "A content filter stops the answer midway"),
    AwkwardAnswer("fenced_json", "JSON in a code fence"),
    AwkwardAnswer("trailing_comma_json", "JSON with one comma too many"),
    AwkwardAnswer("truncated_json", "JSON cut off by max_tokens"),
    AwkwardAnswer("almost_schema", "JSON that almost satisfies the schema", "schema"),
    AwkwardAnswer("invented_tool", "A call of a tool that was not offered", "tools"),
    AwkwardAnswer("arguments_not_json", "Tool arguments that are not JSON", "tools"),
    AwkwardAnswer("arguments_against_schema", "Tool arguments that violate their schema", "tools"),
    AwkwardAnswer("same_tool_again", "The same tool call on every turn", "tools"),
    AwkwardAnswer("tool_and_text", "Words and a tool call in one answer", "tools"),
    AwkwardAnswer("empty_answer", "An answer without a word"),
    AwkwardAnswer("whitespace_only", "Nothing but white space"),
    AwkwardAnswer("very_long", "An answer of 16,000 tokens"),
    AwkwardAnswer("right_to_left", "Words that are written from right to left"),
    AwkwardAnswer("combining_characters", "Characters made of several code points"),
    AwkwardAnswer("split_emoji", "Emoji split over the events of a stream"),
    AwkwardAnswer("thinking_only", "Thinking until max_tokens, and no answer", "thinking"),
    AwkwardAnswer("wrong_language", "An answer in another language than the question"),
    AwkwardAnswer("echoed_prompt", "The question repeated instead of an answer"),
    AwkwardAnswer("wrong_model_name", "The model claims to be another one"),
    AwkwardAnswer("hallucinated_citation", "A source that does not exist"),
)
AWKWARD_ANSWERS: Mapping[str, AwkwardAnswer] = {answer.name: answer for answer in _ANSWERS}


def explain_unmet_need(name: str, features: Collection[Need]) -> str | None:
    """Return why a request with these features cannot get an awkward answer, or None if it can."""
    need = AWKWARD_ANSWERS[name].needs
    return None if need is None or need in features else f"'{name}' {_MISSING[need]}"
