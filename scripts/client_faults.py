"""Measure what the official clients do under each fault, and write `docs/client-faults.md`.

    python scripts/client_faults.py            write the page
    python scripts/client_faults.py --check    exit 1 if it would change

Every case runs against a mock in a thread of this process, in a session of its own; all cases at the same time.
"""

from __future__ import annotations

import difflib
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "client-faults.md"
KEY = "sk-nex-demo-every-model"
QUESTION = "你好，请介绍一下杭州的天气。"
PATIENT, SHORT = 60.0, 3.0
"""Seconds after which a client gives up: usually, and where nothing more will come."""


_HANGS = re.compile(r"\bhang\b")  # not `changed_id`


@dataclass
class Said:
    """What a client has handed to its user so far."""

    pieces: list[str] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    empty: int = 0
    """Events without a choice or candidate."""

    @property
    def text(self) -> str:
        """All of the answer's text."""
        return "".join(self.pieces)


Ask = Callable[[str, dict[str, str], float, int | None, Said], None]
"""Base URL, headers, time-out in seconds, retries (None: as usual), and where to put what comes."""


def openai_stream(url: str, headers: dict[str, str], timeout: float, retries: int | None, said: Said) -> None:
    """Chat completions with `stream=True`."""
    with _openai(url, headers, timeout, retries) as client:
        for chunk in client.chat.completions.create(
            model="gpt-5.2",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        ):
            said.ids.append(chunk.id)
            said.empty += not chunk.choices and not chunk.usage
            said.pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            said.finishes += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
            said.tokens += [chunk.usage.total_tokens] if chunk.usage else []


def openai_plain(url: str, headers: dict[str, str], timeout: float, retries: int | None, said: Said) -> None:
    """Chat completions."""
    with _openai(url, headers, timeout, retries) as client:
        answer: Any = client.chat.completions.create(model="gpt-5.2", messages=[{"role": "user", "content": QUESTION}])
        if not hasattr(answer, "choices"):
            said.pieces.append(f"<{type(answer).__name__}>")
            return
        said.ids.append(answer.id)
        said.pieces += [choice.message.content for choice in answer.choices or () if choice.message.content]
        said.finishes += [choice.finish_reason for choice in answer.choices or ()]
        said.tokens += [answer.usage.total_tokens] if answer.usage else []


def _openai(url: str, headers: dict[str, str], timeout: float, retries: int | None) -> openai.OpenAI:
    options: dict[str, Any] = {} if retries is None else {"max_retries": retries}
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, timeout=timeout, default_headers=headers, **options)


def anthropic_stream(url: str, headers: dict[str, str], timeout: float, retries: int | None, said: Said) -> None:
    """Messages with `stream=True`."""
    with _anthropic(url, headers, timeout, retries) as client:
        for event in client.messages.create(**_message(), stream=True):
            if event.type == "message_start":
                said.ids.append(event.message.id)
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                said.pieces.append(event.delta.text)
            elif event.type == "message_delta":
                said.finishes += [event.delta.stop_reason] if event.delta.stop_reason else []
                said.tokens += [event.usage.output_tokens] if event.usage else []


def anthropic_plain(url: str, headers: dict[str, str], timeout: float, retries: int | None, said: Said) -> None:
    """Messages."""
    with _anthropic(url, headers, timeout, retries) as client:
        answer: Any = client.messages.create(**_message())
        if not hasattr(answer, "content"):
            said.pieces.append(f"<{type(answer).__name__}>")
            return
        said.ids.append(answer.id)
        said.pieces += [block.text for block in answer.content or ()]
        said.finishes += [answer.stop_reason] if answer.stop_reason else []
        said.tokens += [answer.usage.output_tokens] if answer.usage else []


def _anthropic(url: str, headers: dict[str, str], timeout: float, retries: int | None) -> anthropic.Anthropic:
    options: dict[str, Any] = {} if retries is None else {"max_retries": retries}
    return anthropic.Anthropic(base_url=url, api_key=KEY, timeout=timeout, default_headers=headers, **options)


def _message() -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-6",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": QUESTION}],
    }


def gemini_stream(url: str, headers: dict[str, str], timeout: float, retries: int | None, said: Said) -> None:
    """`generate_content_stream`."""
    with _gemini(url, headers, timeout, retries) as client:
        for chunk in client.models.generate_content_stream(model="gemini-2.5-flash", contents=QUESTION):
            _take(chunk, said)


def gemini_plain(url: str, headers: dict[str, str], timeout: float, retries: int | None, said: Said) -> None:
    """`generate_content`."""
    with _gemini(url, headers, timeout, retries) as client:
        _take(client.models.generate_content(model="gemini-2.5-flash", contents=QUESTION), said)


def _gemini(url: str, headers: dict[str, str], timeout: float, retries: int | None) -> genai.Client:
    retry = None if retries is None else types.HttpRetryOptions(attempts=retries + 1)
    return genai.Client(
        api_key=KEY,
        http_options=types.HttpOptions(
            base_url=url, api_version="v1beta", headers=headers, timeout=int(timeout * 1000), retry_options=retry
        ),
    )


def _take(answer: Any, said: Said) -> None:
    said.ids += [answer.response_id] if answer.response_id else []
    said.empty += not answer.candidates
    for candidate in answer.candidates or ():
        said.pieces += [part.text for part in (candidate.content.parts or ()) if part.text] if candidate.content else []
        said.finishes += [candidate.finish_reason.value] if candidate.finish_reason else []
    said.tokens += [answer.usage_metadata.total_token_count] if answer.usage_metadata else []


@dataclass(frozen=True)
class Client:
    """An official client: how it is called, plainly and for a stream."""

    package: str
    plain: Ask
    stream: Ask


CLIENTS = (
    Client("openai", openai_plain, openai_stream),
    Client("anthropic", anthropic_plain, anthropic_stream),
    Client("google-genai", gemini_plain, gemini_stream),
)

STREAMS = (
    "cut; after=0",
    "cut; after=5",
    "cut; after=5; mid=true",
    "stall; after=5; seconds=0.3",
    "stall; after=5; seconds=0.1; then=cut",
    "stall; after=5; then=hang",
    "drip; size=64; seconds=0.001",
    "malformed_json; at=6",
    "error_event; after=5; error=internal_error",
    "error_event; after=5; error=rate_limit_exceeded",
    "error_event; after=5; error=upstream_unavailable",
    "no_end",
    "no_finish",
    "double_finish",
    "no_usage",
    "wrong_usage; add=7",
    "empty_choices; at=6",
    "duplicate_event; at=6",
    "reorder_events; at=6",
    "changed_id; at=6",
    "comments",
    "crlf",
    "cr",
    "bom",
    "one_packet",
    "packet_each",
    "split_events; size=200",
    "split_utf8",
    "big_event; at=6",
    "wrong_content_type; value=text/plain",
    "wrong_content_type; value=application/json",
    "html_page; status=200",
    "html_page; status=502",
    "reset",
    "hang",
)
PLAINS = (
    "cut_body",
    "content_length_long; by=16",
    "content_length_short; by=16",
    "malformed_json",
    "wrong_content_type; value=text/plain",
    "html_page; status=200",
    "html_page; status=502",
    "gzip_garbage",
    "empty_body",
    "slow_body; seconds=0.5",
    "drip; size=64; seconds=0.005",
    "reset",
    "hang",
)
ERRORS = (
    "invalid_request",
    "invalid_api_key",
    "insufficient_balance",
    "model_not_allowed",
    "model_not_found",
    "request_too_large",
    "rate_limit_exceeded",
    "internal_error",
    "upstream_failed",
    "upstream_unavailable",
    "upstream_timeout",
)


@dataclass(frozen=True)
class Case:
    """One client under one fault."""

    client: Client
    stream: bool
    scenario: str

    @property
    def ask(self) -> Ask:
        """The client's function."""
        return self.client.stream if self.stream else self.client.plain

    @property
    def timeout(self) -> float:
        """The client's patience: short where nothing more will come."""
        return SHORT if _HANGS.search(self.scenario) else PATIENT


class Bench:
    """Asks in sessions of their own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.app: Mock = server.app
        self._number = iter(range(1_000_000))

    def ask(self, case: Case, scenario: str, retries: int | None) -> tuple[Said, BaseException | None, float, int]:
        """What came, what was raised, after how many seconds, and how many calls the server saw."""
        name = f"case-{next(self._number)}"
        headers = {"x-mock-scenario": scenario} if scenario else {}
        said, raised, start = Said(), None, time.monotonic()
        try:
            case.ask(f"{self.server.url}/_session/{name}", headers, case.timeout, retries, said)
        except Exception as error:
            raised = error
        seconds = time.monotonic() - start
        calls = self.app.sessions.get(name).journal.total
        self.app.sessions.delete(name)
        return said, raised, seconds, calls

    def outcome(self, case: Case, usual: Said) -> str:
        """One cell of the table."""
        said, raised, seconds, _ = self.ask(case, case.scenario, 0)
        if raised is None:
            return "; ".join(_differences(said, usual)) or "complete"
        words = f"`{_named(type(raised))}`"
        if case.timeout == SHORT and seconds >= SHORT:
            words += " at the time-out"
        if case.stream and said.text:
            words += " after all of the text" if said.text == usual.text else " after part of the text"
        # a stream that has begun is never asked for again
        calls = 1 if said.ids else self.ask(case, f"{case.scenario}; times=1", None)[3]
        return words + (", retried" if calls > 1 else "")


def _named(kind: type[BaseException]) -> str:
    """A class as users import it."""
    module = kind.__module__
    return f"{module if module.startswith('google.') else module.partition('.')[0]}.{kind.__name__}"


def _differences(said: Said, usual: Said) -> Iterator[str]:
    """What a user would get wrong without being told."""
    if said.text != usual.text:
        yield f"**{_difference(said.text, usual.text)}**"
    if not said.finishes and usual.finishes:
        yield "no finish reason"
    elif len(said.finishes) > len(usual.finishes):
        yield "finish reason twice"
    if not said.tokens and usual.tokens:
        yield "no usage"
    elif said.tokens[-1:] != usual.tokens[-1:]:
        yield "wrong usage"
    if len(set(said.ids)) > 1:
        yield "two ids"
    if said.empty > usual.empty:
        yield "an event without choices"


def _difference(text: str, usual: str) -> str:
    if not text:
        return "no text"
    if text.startswith("<"):
        return f"{text.strip('<>')} instead of an answer"
    if usual.startswith(text):
        return "text cut short"
    if len(text) > len(usual):
        return "text repeated"
    return "text in another order" if sorted(text) == sorted(usual) else "text with a hole"


HEAD = """# What official clients do under each fault

Measured, not guessed: `scripts/client_faults.py` asks a mock with the official Python clients and writes this page; a
test fails when it would change. Ask for any row with the header `X-Mock-Scenario: ROW`.

- **complete**: the client delivers what it would have delivered without the fault.
- An exception is given with its class. *retried* means that the client, as it comes out of the box, asks again by
  itself.
- *at the time-out*: the client waits as long as its time-out allows, which is ten minutes by default with `openai` and
  `anthropic` and for ever with `google-genai`.
- **Bold**: the client says nothing, and the user has a wrong answer. These are the rows to guard against.

Clients: {clients}.
"""


def page(bench: Bench) -> str:
    """The whole document."""
    parts = [HEAD.format(clients=", ".join(f"{c.package} {version(c.package).split('.')[0]}.x" for c in CLIENTS))]
    with ThreadPoolExecutor(24) as pool:
        tables = (
            ("Streams", STREAMS, True),
            ("Plain answers", PLAINS, False),
            ("Errors", ERRORS, False),
            ("Errors when a stream was asked for", ("rate_limit_exceeded", "internal_error"), True),
        )
        usual = {(c, s): bench.ask(Case(c, s, ""), "", 0)[0] for c in CLIENTS for s in (True, False)}
        cells = [
            [
                [pool.submit(bench.outcome, Case(client, stream, row), usual[client, stream]) for client in CLIENTS]
                for row in rows
            ]
            for _, rows, stream in tables
        ]
        for (title, rows, _), found in zip(tables, cells, strict=True):
            parts.append(f"## {title}\n")
            parts += _table(rows, [[cell.result() for cell in row] for row in found])
    return "\n".join(parts)


def _table(rows: Sequence[str], cells: Iterable[Sequence[str]]) -> list[str]:
    names = [client.package for client in CLIENTS]
    lines = [f"| scenario | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| `{row}` | {' | '.join(found)} |" for row, found in zip(rows, cells, strict=True)]
    return [*lines, ""]


def measure() -> str:
    """The page, from a mock of its own."""
    with Server(create_app(Settings(now=parse_instant("2026-11-20T10:30:00Z")))) as server:
        return page(Bench(server))


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with `--check` compare."""
    text = measure()
    if "--check" in arguments:
        written = PAGE.read_text(encoding="utf-8").splitlines()
        changes = [*difflib.unified_diff(written, text.splitlines(), "written", "measured", lineterm="", n=0)]
        print("\n".join(changes))
        return 1 if changes else 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
