"""Measure what SDKs and frameworks make of each awkward answer, and write `docs/reference/awkward-answers.md`.

    python scripts/awkward_answers.py                       write the page
    python scripts/awkward_answers.py --check               exit 1 if it would change
    python scripts/awkward_answers.py --check --installed   the same without instructor, which has its own environment

All cases run at the same time, each in its own session of one mock in this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, Literal

import httpx2
from sdk_clients import (
    KEY,
    QUESTION,
    SDK_CLIENTS,
    GeminiTrip,
    Outcome,
    SdkClient,
    Trip,
    find_version,
    format_table,
    start_instructor,
    write_page,
)

from aione_mock.clock import parse_instant
from aione_mock.scenarios.awkward import AWKWARD_ANSWERS
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "awkward-answers.md"
Kind = Literal["words", "structured", "tools"]
_EVERYWHERE = ("refusal", "content_filter", "empty_answer", "whitespace_only")
ROWS: dict[Kind, tuple[str, ...]] = {
    "words": (
        *_EVERYWHERE,
        *("very_long", "right_to_left", "combining_characters", "split_emoji", "thinking_only"),
        *("wrong_language", "echoed_prompt", "wrong_model_name", "hallucinated_citation"),
    ),
    "structured": (
        *("fenced_json", "trailing_comma_json", "truncated_json", "almost_schema", "thinking_only"),
        *_EVERYWHERE,
    ),
    "tools": (
        *("invented_tool", "arguments_not_json", "arguments_against_schema", "same_tool_again", "tool_and_text"),
        "empty_answer",
    ),
}
_THINKING: dict[str, dict[str, Any]] = {
    "openai": {"reasoning_effort": "low"},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "google-genai": {"thinking_config": {"thinking_budget": 1024}},
    "langchain-openai": {"reasoning_effort": "low"},
    "instructor": {"reasoning_effort": "low"},
}
"""Members of a request that let the model think."""
_ENDINGS = {"stop", "end_turn", "STOP", "tool_calls", "tool_use"}
"""Reasons with which an answer usually ends."""
NOTES = {
    "refusal": "Where an answer was to follow a schema, OpenAI's protocol has it in `refusal`, and `content` is null.",
    "content_filter": "A third of the usual answer, then `content_filter`, Anthropic's `refusal` or Gemini's `SAFETY`.",
    "fenced_json": "The JSON of the usual answer, whether or not the request asks for JSON.",
    "truncated_json": "Two thirds of the JSON, then `length`, `max_tokens` or `MAX_TOKENS`, whatever the limit is.",
    "almost_schema": "One member is missing, too many, has another name or type, or a word has another case.",
    "arguments_not_json": (
        "Text in OpenAI's protocol. Anthropic's `input` is an object, so it holds the text as `INVALID_JSON`. Gemini "
        "returns no call: it ends with `MALFORMED_FUNCTION_CALL`."
    ),
    "arguments_against_schema": "As `almost_schema`. If every object is allowed, a member `unexpected` is added.",
    "same_tool_again": "The last call of the conversation again, whatever the tool has returned.",
    "very_long": "`max_tokens` cuts it as usual.",
    "split_emoji": "Every event holds one code point, so that joined emoji and flags end within events.",
    "thinking_only": "Thinking fills the budget, and the answer ends with `length`, `max_tokens` or `MAX_TOKENS`.",
    "wrong_language": "Chinese for a question in English, English for one in Chinese.",
    "wrong_model_name": "In its words alone: the member `model` is right.",
    "hallucinated_citation": "The DOI has a prefix that is never registered, the address is on example.org.",
}


class AnswerBench:
    """Ask a server, each time in a session of its own."""

    def __init__(self, server: Server) -> None:
        self._server, self._numbers = server, count()
        self._http = httpx2.Client(verify=False, timeout=60)

    def ask(self, client: SdkClient, kind: Kind, scenario: str, stream: bool) -> tuple[Outcome, int]:
        """Return what a client does, and the number of calls that the server received."""
        name = f"case-{next(self._numbers)}"
        ask = {"words": client.words, "structured": client.structured, "tools": client.tools}[kind]
        assert ask is not None
        more = _THINKING[client.package] if AWKWARD_ANSWERS[scenario].needs == "thinking" else {}
        try:
            outcome = ask(f"{self._server.url}/_session/{name}", {"x-mock-scenario": scenario}, stream, more)
        except Exception as error:
            outcome = Outcome(error=_import_name(type(error)))
        calls = self._server.app.sessions.get(name).journal.total  # type: ignore[attr-defined]
        self._server.app.sessions.delete(name)  # type: ignore[attr-defined]
        return outcome, calls

    def describe(self, client: SdkClient, kind: Kind, scenario: str, stream: bool) -> str:
        """Return one cell of a table."""
        if kind == "words" and client.words is None:
            return "–"
        outcome, calls = self.ask(client, kind, scenario, stream)
        if outcome.error:
            parts = [f"`{outcome.error}`"]
        else:
            text = self._read_words(client.protocol, scenario) if kind == "words" else ""
            parts = [*_DESCRIBERS[kind](outcome, text)]
            if scenario == "almost_schema" and parts[0] == "an object":
                parts[0] += ", coerced"
        return "; ".join(parts + ([f"{calls} requests"] if calls > 1 else []))

    def _read_words(self, protocol: str, scenario: str) -> str:
        """Return the words of the model, read without any client's help."""
        path, body, read = _PLAIN_REQUESTS[protocol]
        package = {"gemini": "google-genai"}.get(protocol, protocol)
        thinking = _THINKING[package] if AWKWARD_ANSWERS[scenario].needs == "thinking" else {}
        if protocol == "gemini" and thinking:
            thinking = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024}}}
        headers = {"authorization": f"Bearer {KEY}", "x-mock-scenario": scenario}
        answer = self._http.post(f"{self._server.url}{path}", json={**body, **thinking}, headers=headers)
        return read(answer.raise_for_status().json())


_MESSAGES = [{"role": "user", "content": QUESTION}]
_PLAIN_REQUESTS: dict[str, tuple[str, dict[str, Any], Callable[[Any], str]]] = {
    "openai": (
        "/v1/chat/completions",
        {"model": "gpt-5.4", "messages": _MESSAGES},
        lambda answer: answer["choices"][0]["message"]["content"] or "",
    ),
    "anthropic": (
        "/v1/messages",
        {"model": "claude-sonnet-4-6", "max_tokens": 20_000, "messages": _MESSAGES},
        lambda answer: "".join(block.get("text", "") for block in answer["content"]),
    ),
    "gemini": (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]},
        lambda answer: "".join(part.get("text", "") for part in answer["candidates"][0]["content"]["parts"]),
    ),
}


def _import_name(kind: type[BaseException]) -> str:
    """Return the name of a class as users import it."""
    module = kind.__module__
    if module == "builtins":
        return kind.__name__
    if module.startswith("google."):
        return f"{module}.{kind.__name__}"
    return f"{module.partition('.')[0].removeprefix('_')}.{kind.__name__}"


def _describe_words(outcome: Outcome, text: str) -> Iterator[str]:
    if not text.strip():
        yield "**no text**" if not outcome.text else "**white space**"
    else:
        yield "as it came" if outcome.text == text else "**other text**"
    yield from _describe_finish(outcome)


def _describe_structured(outcome: Outcome, text: str) -> Iterator[str]:
    if isinstance(outcome.value, Trip | GeminiTrip | dict):
        yield "**part of an object**" if _is_part(outcome.value) else "an object"
    else:
        yield "text, not parsed" if outcome.text.strip() else "**None**"
    yield from _describe_finish(outcome)


def _describe_tools(outcome: Outcome, text: str) -> Iterator[str]:
    if isinstance(outcome.value, dict):
        yield "**part of an object**" if _is_part(outcome.value) else "an object"
        return
    broken = [call for call in outcome.calls if call.startswith("!")]
    if broken:
        yield "in `invalid_tool_calls`"
    elif outcome.calls:
        yield "the call"
    else:
        yield "text" if outcome.text else "**no call, no text**"
    yield from _describe_finish(outcome)


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and None in value.values()


def _describe_finish(outcome: Outcome) -> Iterator[str]:
    if outcome.finish and outcome.finish not in _ENDINGS:
        yield f"finish `{outcome.finish}`"


_DESCRIBERS = {"words": _describe_words, "structured": _describe_structured, "tools": _describe_tools}
HEAD = """# Awkward answers

What real models say through a gateway that works, and applications stumble over. A mock plays each by its name:

- in a test: `aione_mock.awkward("fenced_json")`, with `times` and `when` as `reply` has them;
- in a rule: `then: {{awkward: fenced_json}}`;
- for one call: the header `X-Mock-Scenario: fenced_json`, with `times` and `delay`; faults may follow, as in
  `split_emoji, crlf`;
- on [the page](../how-to/page.md), in the catalogue under *Awkward answers*, or in the playground.

Answers are correct otherwise: they keep the contract, streams add up to the plain answer, tokens are counted and
charged, stop sequences and `max_tokens` cut, and the same seed and request give the same bytes. A request that lacks
what an answer needs is passed over by rules and by `aione_mock.awkward`; with the header it is a 400 that says what is
missing.

| name | what the model does | needs |
|---|---|---|
{names}

`aione_mock.assert_resilient(call, include=["awkward"])` and `aione-mock probe --include awkward -- COMMAND` run your
own client under each of them.

# What clients make of them

This part is measured: `scripts/awkward_answers.py` asks a mock with each client and writes the tables. A test fails if
they change. To reproduce a row, send the header `X-Mock-Scenario: ROW`.

- **as it came**: the user gets the words of the model. *finish* is a finish reason other than the usual ones; the
  client says no more than that.
- **the call**: the user gets the call as the model made it, whatever its name and its arguments.
- **coerced**: the object is valid although the answer was not, because pydantic read text as a number, for example.
- An exception is shown by its class. *requests* counts what the client sent by itself.
- **Bold**: nothing is raised and nothing usable is returned.

`instructor` cannot be installed beside the newest `openai`, so it runs in an environment of its own with the `openai`
that it allows. It is asked with `max_retries=2`, in the mode JSON_SCHEMA for structured output and TOOLS for tools.

Clients: {clients}.
"""
_SECTIONS: tuple[tuple[str, Kind, str], ...] = (
    (
        "Words",
        "words",
        "`create`, `generate_content` and `invoke`; streams are collected as each client does it. instructor always "
        "asks for structured output.",
    ),
    (
        "Structured output",
        "structured",
        "A pydantic model is given to `parse` (openai, anthropic), `response_schema` (google-genai), "
        "`with_structured_output` (LangChain) and `response_model` (instructor).",
    ),
    (
        "Tools",
        "tools",
        "One tool is offered: to `parse` (openai), `create` (anthropic), as a Python function that google-genai calls "
        "itself, to `bind_tools` (LangChain) and as `response_model` (instructor).",
    ),
)


def render_page(server: Server, clients: Sequence[SdkClient]) -> str:
    """Return the page."""
    bench = AnswerBench(server)
    packages = [f"{c.package} {find_version(c.package)}" for c in clients]
    parts = [HEAD.format(names="\n".join(_list_names()), clients=", ".join(packages))]
    with ThreadPoolExecutor(16) as pool:
        tables = []
        for title, kind, note in _SECTIONS:
            for stream in (False, True):
                # a stream of so many events says no more than a plain answer, and takes seconds to read
                rows = [row for row in ROWS[kind] if row != "very_long" or not stream]
                cells = [[pool.submit(bench.describe, c, kind, row, stream) for c in clients] for row in rows]
                tables.append((f"{title}, {'streamed' if stream else 'plain'}", note, rows, cells))
        for title, note, rows, cells in tables:
            parts += [f"## {title}\n", f"{note}\n"]
            parts += format_table(
                [client.package for client in clients], rows, [[cell.result() for cell in row] for row in cells]
            )
    return "\n".join(parts)


def _list_names() -> Iterator[str]:
    for answer in AWKWARD_ANSWERS.values():
        needs = {"tools": "tools", "schema": "a JSON schema", "thinking": "thinking", None: ""}[answer.needs]
        note = f". {NOTES[answer.name]}" if answer.name in NOTES else ""
        yield f"| `{answer.name}` | {answer.title}{note} | {needs} |"


def measure_page(*, with_instructor: bool) -> str:
    """Start a mock and return the page."""
    with Server(create_app(Settings(now=parse_instant("2026-11-20T10:30:00Z")))) as server:
        if not with_instructor:
            return render_page(server, SDK_CLIENTS)
        with start_instructor() as instructor:
            return render_page(server, (*SDK_CLIENTS, instructor))


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it with `--check`."""
    return write_page(PAGE, measure_page, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
