"""Measure what official clients, LangChain and instructor do under each fault.

Writes `docs/reference/client-faults.md`.

    python scripts/client_faults.py                       write the page
    python scripts/client_faults.py --check               exit 1 if it would change
    python scripts/client_faults.py --check --installed   the same without instructor, which has its own environment

All cases run at the same time, each in its own session of one mock in this process.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types
from langchain_openai import ChatOpenAI
from sdk_clients import InstructorWorker, find_version, format_table, start_worker, write_page

from aione_mock.clock import parse_instant
from aione_mock.server.app import Mock, create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "client-faults.md"
KEY = "sk-nex-demo-every-model"
QUESTION = "你好，请介绍一下杭州的天气。"
TIMEOUT, SHORT_TIMEOUT = 60.0, 3.0
"""Seconds; the short one is for faults after which nothing more arrives."""


_HANGS = re.compile(r"\bhang\b")  # not `changed_id`


@dataclass
class ClientOutput:
    """What a client has returned to its user so far."""

    pieces: list[str] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    empty: int = 0
    """Events without a choice or candidate."""

    @property
    def text(self) -> str:
        """The text of the answer."""
        return "".join(self.pieces)


SendRequest = Callable[[str, dict[str, str], float, int | None, ClientOutput], None]
"""Takes base URL, headers, timeout in seconds, retries (None for the default), and where to put the output."""


def stream_openai(url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput) -> None:
    """Chat completions with `stream=True`."""
    with _make_openai_client(url, headers, timeout, retries) as client:
        for chunk in client.chat.completions.create(
            model="gpt-5.2",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        ):
            output.ids.append(chunk.id)
            output.empty += not chunk.choices and not chunk.usage
            output.pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            output.finishes += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
            output.tokens += [chunk.usage.total_tokens] if chunk.usage else []


def ask_openai(url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput) -> None:
    """Chat completions."""
    with _make_openai_client(url, headers, timeout, retries) as client:
        answer: Any = client.chat.completions.create(model="gpt-5.2", messages=[{"role": "user", "content": QUESTION}])
        if not hasattr(answer, "choices"):
            output.pieces.append(f"<{type(answer).__name__}>")
            return
        output.ids.append(answer.id)
        output.pieces += [choice.message.content for choice in answer.choices or () if choice.message.content]
        output.finishes += [choice.finish_reason for choice in answer.choices or ()]
        output.tokens += [answer.usage.total_tokens] if answer.usage else []


def _make_openai_client(url: str, headers: dict[str, str], timeout: float, retries: int | None) -> openai.OpenAI:
    options: dict[str, Any] = {} if retries is None else {"max_retries": retries}
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, timeout=timeout, default_headers=headers, **options)


def stream_anthropic(
    url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput
) -> None:
    """Messages with `stream=True`."""
    with _make_anthropic_client(url, headers, timeout, retries) as client:
        for event in client.messages.create(**_make_anthropic_request(), stream=True):
            if event.type == "message_start":
                output.ids.append(event.message.id)
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                output.pieces.append(event.delta.text)
            elif event.type == "message_delta":
                output.finishes += [event.delta.stop_reason] if event.delta.stop_reason else []
                output.tokens += [event.usage.output_tokens] if event.usage else []


def ask_anthropic(url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput) -> None:
    """Messages."""
    with _make_anthropic_client(url, headers, timeout, retries) as client:
        answer: Any = client.messages.create(**_make_anthropic_request())
        if not hasattr(answer, "content"):
            output.pieces.append(f"<{type(answer).__name__}>")
            return
        output.ids.append(answer.id)
        output.pieces += [block.text for block in answer.content or ()]
        output.finishes += [answer.stop_reason] if answer.stop_reason else []
        output.tokens += [answer.usage.output_tokens] if answer.usage else []


def _make_anthropic_client(
    url: str, headers: dict[str, str], timeout: float, retries: int | None
) -> anthropic.Anthropic:
    options: dict[str, Any] = {} if retries is None else {"max_retries": retries}
    return anthropic.Anthropic(base_url=url, api_key=KEY, timeout=timeout, default_headers=headers, **options)


def _make_anthropic_request() -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-6",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": QUESTION}],
    }


def stream_gemini(url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput) -> None:
    """`generate_content_stream`."""
    with _make_gemini_client(url, headers, timeout, retries) as client:
        for chunk in client.models.generate_content_stream(model="gemini-2.5-flash", contents=QUESTION):
            _collect_gemini(chunk, output)


def ask_gemini(url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput) -> None:
    """`generate_content`."""
    with _make_gemini_client(url, headers, timeout, retries) as client:
        _collect_gemini(client.models.generate_content(model="gemini-2.5-flash", contents=QUESTION), output)


def _make_gemini_client(url: str, headers: dict[str, str], timeout: float, retries: int | None) -> genai.Client:
    retry = None if retries is None else types.HttpRetryOptions(attempts=retries + 1)
    return genai.Client(
        api_key=KEY,
        http_options=types.HttpOptions(
            base_url=url, api_version="v1beta", headers=headers, timeout=int(timeout * 1000), retry_options=retry
        ),
    )


def _collect_gemini(answer: Any, output: ClientOutput) -> None:
    output.ids += [answer.response_id] if answer.response_id else []
    output.empty += not answer.candidates
    for candidate in answer.candidates or ():
        output.pieces += (
            [part.text for part in (candidate.content.parts or ()) if part.text] if candidate.content else []
        )
        output.finishes += [candidate.finish_reason.value] if candidate.finish_reason else []
    output.tokens += [answer.usage_metadata.total_token_count] if answer.usage_metadata else []


def stream_langchain(
    url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput
) -> None:
    """`ChatOpenAI.stream`."""
    for chunk in _make_langchain_model(url, headers, timeout, retries, stream_usage=True).stream(QUESTION):
        _collect_langchain(chunk, output)


def ask_langchain(url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput) -> None:
    """`ChatOpenAI.invoke`."""
    _collect_langchain(_make_langchain_model(url, headers, timeout, retries).invoke(QUESTION), output)


def _make_langchain_model(
    url: str, headers: dict[str, str], timeout: float, retries: int | None, **more: Any
) -> ChatOpenAI:
    more |= {} if retries is None else {"max_retries": retries}
    return ChatOpenAI(
        model="gpt-5.2",
        base_url=f"{url}/v1",
        api_key=KEY,
        timeout=timeout,
        default_headers=headers,
        # loading certificates is most of the time that it takes to make one
        http_client=openai.DefaultHttpxClient(verify=False),
        http_async_client=openai.DefaultAsyncHttpxClient(verify=False),
        **more,
    )


def _collect_langchain(message: Any, output: ClientOutput) -> None:
    # LangChain gives the chunks of a stream an id of its own
    output.ids.append("langchain")
    output.pieces += [message.text] if message.text else []
    finish = message.response_metadata.get("finish_reason")
    output.finishes += [finish] if finish else []
    output.tokens += [message.usage_metadata["total_tokens"]] if message.usage_metadata else []


def make_instructor_request(worker: InstructorWorker, *, stream: bool) -> SendRequest:
    """`chat.completions.create` of instructor, or `create_partial`, with a pydantic model as the answer."""

    def send(url: str, headers: dict[str, str], timeout: float, retries: int | None, output: ClientOutput) -> None:
        job = {"url": url, "headers": headers, "timeout": timeout, "retries": retries, "stream": stream}
        found = worker.send({**job, "mode": "json", "asks": 0, "more": {}})
        value = found.get("value") or found.get("partial")
        if value:
            output.ids.append("instructor")
            output.pieces.append("".join(str(each) for each in value.values() if each is not None))
        if "error" in found:
            module, _, name = found["error"].partition(".")
            raise type(name, (Exception,), {"__module__": module})

    return send


@dataclass(frozen=True)
class Client:
    """A client, and how to send it a request for a plain answer and for a stream."""

    package: str
    plain: SendRequest
    stream: SendRequest


CLIENTS = (
    Client("openai", ask_openai, stream_openai),
    Client("anthropic", ask_anthropic, stream_anthropic),
    Client("google-genai", ask_gemini, stream_gemini),
    Client("langchain-openai", ask_langchain, stream_langchain),
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
    def send(self) -> SendRequest:
        """The function that sends the request."""
        return self.client.stream if self.stream else self.client.plain

    @property
    def timeout(self) -> float:
        """Timeout of the client in seconds."""
        return SHORT_TIMEOUT if _HANGS.search(self.scenario) else TIMEOUT


class FaultBench:
    """Send requests to a server, each in its own session."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.app: Mock = server.app
        self._number = iter(range(1_000_000))

    def send(
        self, case: Case, scenario: str, retries: int | None
    ) -> tuple[ClientOutput, BaseException | None, float, int]:
        """Return the output, the exception, the seconds it took, and the number of calls that the server received."""
        name = f"case-{next(self._number)}"
        headers = {"x-mock-scenario": scenario} if scenario else {}
        output, raised, start = ClientOutput(), None, time.monotonic()
        try:
            case.send(f"{self.server.url}/_session/{name}", headers, case.timeout, retries, output)
        except Exception as error:
            raised = error
        seconds = time.monotonic() - start
        calls = self.app.sessions.get(name).journal.total
        self.app.sessions.delete(name)
        return output, raised, seconds, calls

    def describe_outcome(self, case: Case, usual: ClientOutput) -> str:
        """Return one cell of the table; `usual` is the output without a fault."""
        output, raised, seconds, _ = self.send(case, case.scenario, 0)
        if raised is None:
            return "; ".join(_describe_differences(output, usual)) or "complete"
        words = f"`{_import_name(type(raised))}`"
        if case.timeout == SHORT_TIMEOUT and seconds >= SHORT_TIMEOUT:
            words += " at the timeout"
        if case.stream and output.text:
            words += " after all of the text" if output.text == usual.text else " after part of the text"
        # no client retries a stream that has begun
        calls = 1 if output.ids else self.send(case, f"{case.scenario}; times=1", None)[3]
        return words + (", retried" if calls > 1 else "")


def _import_name(kind: type[BaseException]) -> str:
    """Return the name of a class as users import it."""
    module = kind.__module__
    if module == "builtins":
        return kind.__name__
    return f"{module if module.startswith('google.') else module.partition('.')[0]}.{kind.__name__}"


def _describe_differences(output: ClientOutput, usual: ClientOutput) -> Iterator[str]:
    """Yield what is wrong with the output although no exception was raised."""
    if output.text != usual.text:
        is_object = "instructor" in usual.ids and output.text
        yield "**another object**" if is_object else f"**{_describe_text_difference(output.text, usual.text)}**"
    if not output.finishes and usual.finishes:
        yield "no finish reason"
    elif len(output.finishes) > len(usual.finishes):
        yield "finish reason twice"
    if not output.tokens and usual.tokens:
        yield "no usage"
    elif output.tokens[-1:] != usual.tokens[-1:]:
        yield "wrong usage"
    if len(set(output.ids)) > 1:
        yield "two ids"
    if output.empty > usual.empty:
        yield "an event without choices"


def _describe_text_difference(text: str, usual: str) -> str:
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

This page is measured: `scripts/client_faults.py` sends requests to a mock with the official Python clients, LangChain
and instructor, and writes the results here. A test fails if they change. To reproduce a row, send the header
`X-Mock-Scenario: ROW`.

- **complete**: the client returns what it returns without the fault.
- An exception is shown by its class. *retried* means that the client retries by default.
- *at the timeout*: the client waits until its timeout, which is ten minutes by default with `openai` and `anthropic`;
  with `google-genai` there is none.
- **Bold**: the client raises nothing and the user has a wrong answer. These are the rows to guard against.

instructor asks for an object, of which a stream has parts; it runs in an environment of its own, with the `openai`
that it allows.

Clients: {clients}.
"""


def render_page(bench: FaultBench, clients: Sequence[Client]) -> str:
    """Return the page."""
    parts = [HEAD.format(clients=", ".join(f"{c.package} {find_version(c.package)}" for c in clients))]
    with ThreadPoolExecutor(24) as pool:
        tables = (
            ("Streams", STREAMS, True),
            ("Plain answers", PLAINS, False),
            ("Errors", ERRORS, False),
            ("Errors of streamed requests", ("rate_limit_exceeded", "internal_error"), True),
        )
        usual = {(c, s): bench.send(Case(c, s, ""), "", 0)[0] for c in clients for s in (True, False)}
        cells = [
            [
                [
                    pool.submit(bench.describe_outcome, Case(client, stream, row), usual[client, stream])
                    for client in clients
                ]
                for row in rows
            ]
            for _, rows, stream in tables
        ]
        for (title, rows, _), found in zip(tables, cells, strict=True):
            parts.append(f"## {title}\n")
            parts += format_table(
                [client.package for client in clients], rows, [[cell.result() for cell in row] for row in found]
            )
    return "\n".join(parts)


def measure_page(*, with_instructor: bool) -> str:
    """Start a mock and return the page."""
    with Server(create_app(Settings(now=parse_instant("2026-11-20T10:30:00Z")))) as server:
        if not with_instructor:
            return render_page(FaultBench(server), CLIENTS)
        with start_worker() as worker:
            plain, stream = make_instructor_request(worker, stream=False), make_instructor_request(worker, stream=True)
            return render_page(FaultBench(server), (*CLIENTS, Client("instructor", plain, stream)))


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it with `--check`."""
    return write_page(PAGE, measure_page, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
