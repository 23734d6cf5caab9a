"""The official SDKs, LangChain and instructor, asked for words, for structured output and for a call of a tool.

No certificates are loaded for a mock on this machine: that is most of the time that a client takes to be made.
"""

from __future__ import annotations

import difflib
import json
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import anthropic
import openai
from gateways import install_from_pypi
from google import genai
from google.genai import types
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, ConfigDict

from aione_mock.settings import build_environment, find_cache_folder

KEY = "sk-nex-demo-every-model"
QUESTION = "Which city should I visit, and for how many days? Plan a trip."
TIMEOUT = 60.0
INSTRUCTOR = ("instructor==1.17.0", "openai==3.3.0")


class Trip(BaseModel):
    """Plan a trip."""

    model_config = ConfigDict(extra="forbid")
    city: str
    days: int


def plan_trip(city: str, days: int) -> str:
    """Plan a trip."""
    return "Booked."


@dataclass
class Outcome:
    """What a client has returned to its user, or raised."""

    text: str = ""
    value: Any = None
    """The structured output: a `Trip`, or what there is instead."""
    calls: list[str] = field(default_factory=list)
    """Names of the tools that the user is to call, `!` before those whose arguments the client could not read."""
    finish: str = ""
    error: str = ""


Ask = Callable[[str, dict[str, str], bool, dict[str, Any]], Outcome]
"""Takes base URL, headers, whether to stream, and further members of the request."""


@dataclass(frozen=True)
class SdkClient:
    """A client and the ways to ask it."""

    package: str
    protocol: str
    words: Ask | None
    structured: Ask
    tools: Ask


# openai


def _make_openai_request(more: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": QUESTION}], **more}


def _ask_openai(url: str, headers: dict[str, str], stream: bool, more: Mapping[str, Any]) -> Outcome:
    outcome = Outcome()
    with openai.OpenAI(
        base_url=f"{url}/v1",
        api_key=KEY,
        timeout=TIMEOUT,
        default_headers=headers,
        http_client=openai.DefaultHttpxClient(verify=False),
    ) as client:
        if not stream and more.keys() & {"response_format", "tools"}:
            answer: Any = client.chat.completions.parse(**_make_openai_request(more))
        elif not stream:
            answer = client.chat.completions.create(**_make_openai_request(more))
        else:
            with client.chat.completions.stream(**_make_openai_request(more)) as events:
                for _ in events:
                    pass
                answer = events.get_final_completion()
    (choice,) = answer.choices
    outcome.text, outcome.finish = choice.message.content or "", choice.finish_reason
    outcome.value = getattr(choice.message, "parsed", None)
    outcome.calls = [call.function.name for call in choice.message.tool_calls or ()]
    return outcome


def ask_openai_words(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`chat.completions.create`, or `stream`."""
    return _ask_openai(url, headers, stream, more)


def ask_openai_structured(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`chat.completions.parse`, or `stream`, with a pydantic model."""
    return _ask_openai(url, headers, stream, {"response_format": Trip, **more})


def ask_openai_tools(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`chat.completions.parse`, or `stream`, with a tool made of a pydantic model."""
    return _ask_openai(url, headers, stream, {"tools": [openai.pydantic_function_tool(Trip, name="plan_trip")], **more})


# anthropic


def _make_anthropic_request(more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-6",
        "max_tokens": 20_000,
        "messages": [{"role": "user", "content": QUESTION}],
        **more,
    }


def _ask_anthropic(url: str, headers: dict[str, str], stream: bool, more: Mapping[str, Any]) -> Outcome:
    outcome = Outcome()
    with anthropic.Anthropic(
        base_url=url,
        api_key=KEY,
        timeout=TIMEOUT,
        default_headers=headers,
        http_client=anthropic.DefaultHttpxClient(verify=False),
    ) as client:
        if stream:
            with client.messages.stream(**_make_anthropic_request(more)) as events:
                answer: Any = events.get_final_message()
        elif "output_format" in more:
            answer = client.messages.parse(**_make_anthropic_request(more))
        else:
            answer = client.messages.create(**_make_anthropic_request(more))
    outcome.text = "".join(block.text for block in answer.content if block.type == "text")
    outcome.calls = [block.name for block in answer.content if block.type == "tool_use"]
    outcome.finish, outcome.value = answer.stop_reason or "", getattr(answer, "parsed_output", None)
    return outcome


def ask_anthropic_words(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`messages.create`, or `stream`."""
    return _ask_anthropic(url, headers, stream, more)


def ask_anthropic_structured(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`messages.parse`, or `stream`, with a pydantic model."""
    return _ask_anthropic(url, headers, stream, {"output_format": Trip, **more})


def ask_anthropic_tools(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`messages.create`, or `stream`, with a tool."""
    tool = {"name": "plan_trip", "description": "Plan a trip.", "input_schema": Trip.model_json_schema()}
    return _ask_anthropic(url, headers, stream, {"tools": [tool], **more})


# google-genai


def _ask_gemini(url: str, headers: dict[str, str], stream: bool, settings: Mapping[str, Any]) -> Outcome:
    outcome = Outcome()
    options = types.HttpOptions(
        base_url=url,
        api_version="v1beta",
        headers=headers,
        timeout=int(TIMEOUT * 1000),
        client_args={"verify": False},
        async_client_args={"verify": False},
    )
    request: dict[str, Any] = {
        "model": "gemini-2.5-flash",
        "contents": QUESTION,
        "config": types.GenerateContentConfig(**settings),
    }
    client = genai.Client(api_key=KEY, http_options=options)
    chunks = (
        client.models.generate_content_stream(**request)
        if stream
        else iter([client.models.generate_content(**request)])
    )
    for chunk in chunks:
        for candidate in chunk.candidates or ():
            parts = (candidate.content.parts if candidate.content else None) or ()
            outcome.text += "".join(part.text for part in parts if part.text and not part.thought)
            outcome.calls += [part.function_call.name for part in parts if part.function_call]
            outcome.finish = candidate.finish_reason.value if candidate.finish_reason else outcome.finish
        outcome.value = chunk.parsed if not stream else None
    return outcome


def ask_gemini_words(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`generate_content`, or `generate_content_stream`."""
    return _ask_gemini(url, headers, stream, more)


def ask_gemini_structured(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`generate_content`, or its stream, with a pydantic model as `response_schema`."""
    # Google's own form of a schema has no `additionalProperties`
    schema = {"response_mime_type": "application/json", "response_schema": GeminiTrip}
    return _ask_gemini(url, headers, stream, {**schema, **more})


class GeminiTrip(BaseModel):
    """Plan a trip."""

    city: str
    days: int


def ask_gemini_tools(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`generate_content`, or its stream, with a Python function as a tool, which the SDK calls itself."""
    return _ask_gemini(url, headers, stream, {"tools": [plan_trip], **more})


# LangChain


def _make_chat_model(url: str, headers: dict[str, str], more: Mapping[str, Any]) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-5.4",
        base_url=f"{url}/v1",
        api_key=KEY,
        timeout=TIMEOUT,
        default_headers=headers,
        http_client=openai.DefaultHttpxClient(verify=False),
        http_async_client=openai.DefaultAsyncHttpxClient(verify=False),
        **more,
    )


def _run_chain(chain: Any, stream: bool) -> Any:
    """Return what a chain says, of a stream all of it."""
    if not stream:
        return chain.invoke(QUESTION)
    whole = None
    for piece in chain.stream(QUESTION):
        whole = piece if whole is None or (isinstance(piece, BaseModel | dict) and _is_value(piece)) else whole + piece
    return whole


def _is_value(piece: Any) -> bool:
    return isinstance(piece, Trip | dict)


def ask_langchain_words(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`ChatOpenAI.invoke`, or `stream`."""
    return _read_message(_run_chain(_make_chat_model(url, headers, more), stream))


def ask_langchain_structured(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`ChatOpenAI.with_structured_output`."""
    chain = _make_chat_model(url, headers, more).with_structured_output(Trip)
    return Outcome(value=_run_chain(chain, stream))


def ask_langchain_tools(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
    """`ChatOpenAI.bind_tools`."""
    chain = _make_chat_model(url, headers, more).bind_tools([plan_trip])
    return _read_message(_run_chain(chain, stream))


def _read_message(message: Any) -> Outcome:
    broken = [f"!{call['name']}" for call in message.invalid_tool_calls]
    calls = [call["name"] for call in message.tool_calls]
    return Outcome(message.text, None, calls + broken, message.response_metadata.get("finish_reason") or "")


# instructor


class InstructorWorker:
    """Ask with instructor, in a process of its own."""

    def __init__(self, python: Path) -> None:
        """`python` is that of an environment with instructor."""
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("instructor_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=build_environment({"PYTHONPATH": ""}),
        )
        self._open: dict[int, Future[dict[str, Any]]] = {}
        self._numbers, self._lock = count(), threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = json.loads(line)
            self._open.pop(found["id"]).set_result(found)
        for future in self._open.values():
            future.set_exception(RuntimeError("instructor_worker.py has ended"))

    def send(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of one request."""
        future = Future[dict[str, Any]]()
        assert self._process.stdin is not None
        with self._lock:
            number = next(self._numbers)
            self._open[number] = future
            self._process.stdin.write(json.dumps({"id": number, "key": KEY, "question": QUESTION, **job}) + "\n")
            self._process.stdin.flush()
        return future.result(TIMEOUT * 3)

    def ask(self, mode: str) -> Ask:
        """Return a way to ask, in the mode `json` or `tools`."""

        def send(url: str, headers: dict[str, str], stream: bool, more: dict[str, Any]) -> Outcome:
            job = {"url": url, "headers": headers, "stream": stream, "more": more, "mode": mode}
            found = self.send({**job, "timeout": TIMEOUT, "retries": None, "asks": 2})
            return Outcome(value=found.get("value"), error=found.get("error", ""))

        return send

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


@contextmanager
def start_worker() -> Iterator[InstructorWorker]:
    """Install instructor unless it is there, and start it. Raises NotInstalledError."""
    folder = find_cache_folder() / "instructor"
    install_from_pypi(INSTRUCTOR, folder)
    worker = InstructorWorker(folder / "bin" / "python")
    try:
        yield worker
    finally:
        worker.close()


@contextmanager
def start_instructor() -> Iterator[SdkClient]:
    """Start instructor as a client. Raises NotInstalledError."""
    with start_worker() as worker:
        yield SdkClient("instructor", "openai", None, worker.ask("json"), worker.ask("tools"))


def find_version(package: str) -> str:
    """Return the major version of a client; the minor one too of instructor, which is not installed here."""
    if package == "instructor":
        return INSTRUCTOR[0].partition("==")[2].rpartition(".")[0]
    return f"{version(package).partition('.')[0]}.x"


def remove_instructor(text: str) -> str:
    """Return the page without what is measured with instructor, the last column of its tables."""
    lines = []
    measured = False
    for line in text.splitlines():
        measured = line.startswith("| scenario") or (measured and line.startswith("|"))
        if line.startswith("Clients: "):
            line = f"{line.rpartition(', ')[0]}."
        lines.append(f"{line.rstrip('|').rpartition('|')[0]}|" if measured else line)
    return "\n".join(lines)


SDK_CLIENTS = (
    SdkClient("openai", "openai", ask_openai_words, ask_openai_structured, ask_openai_tools),
    SdkClient("anthropic", "anthropic", ask_anthropic_words, ask_anthropic_structured, ask_anthropic_tools),
    SdkClient("google-genai", "gemini", ask_gemini_words, ask_gemini_structured, ask_gemini_tools),
    SdkClient("langchain-openai", "openai", ask_langchain_words, ask_langchain_structured, ask_langchain_tools),
)


# pages


def format_table(names: Sequence[str], rows: Sequence[str], cells: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table with a column for each client and a row for each scenario."""
    lines = [f"| scenario | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| `{row}` | {' | '.join(found)} |" for row, found in zip(rows, cells, strict=True)]
    return [*lines, ""]


def write_page(page: Path, measure: Callable[..., str], arguments: Sequence[str]) -> int:
    """Write a measured page. With `--check`, compare it, print what differs and return 1 if anything does.

    `--installed` leaves out instructor, which has an environment of its own.
    """
    installed = "--installed" in arguments
    text = measure(with_instructor=not installed)
    if "--check" not in arguments:
        page.write_text(text, encoding="utf-8")
        return 0
    written = page.read_text(encoding="utf-8")
    lines = (remove_instructor(written) if installed else written).splitlines()
    changes = [*difflib.unified_diff(lines, text.splitlines(), "written", "measured", lineterm="", n=0)]
    print("\n".join(changes))
    return 1 if changes else 0
