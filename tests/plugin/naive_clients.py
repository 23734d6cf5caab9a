"""OpenAI clients written with httpx2: one that makes no mistake, and others that make one each."""

from __future__ import annotations

import codecs
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

from aione_mock.structs import replace
from aione_mock.testing import MockSession

QUESTION = "Please look up order 4711 and order 4712, and tell me about whales."
TOOL = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Find an order by its number.",
        "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    },
}
PAUSE = 0.15
Events = Callable[[httpx2.Response], Iterator[str]]


class Incomplete(Exception):
    """The stream ended before the answer was complete."""


def events(response: httpx2.Response) -> Iterator[str]:
    """Yield the data of each event, however it is split into packets."""
    decoder, buffer = codecs.getincrementaldecoder("utf-8")(), ""
    for packet in response.iter_bytes():
        buffer += decoder.decode(packet)
        *lines, buffer = buffer.split("\n")
        yield from (line.removeprefix("data:").strip() for line in lines if line.startswith("data:"))


def events_by_packet(response: httpx2.Response) -> Iterator[str]:
    """Yield the data of each packet, as if a packet were an event."""
    for packet in response.iter_raw():
        for line in packet.decode("utf-8", "replace").split("\n\n"):
            if line.startswith("data: "):
                yield line.removeprefix("data: ")


@dataclass(frozen=True, slots=True)
class Client:
    """A small agent: it sends a question, runs the tools that the model calls, and sends their results."""

    attempts: int = 3
    pause: float = PAUSE
    honours_retry_after: bool = True
    retries: tuple[int, ...] = (429, 500, 502, 503, 504)
    patience: float | None = 1.0
    """Seconds until the answer begins; None for no timeout."""
    stream_patience: float | None = 1.0
    """Seconds between two packets."""
    keeps_partial: bool = False
    """Whether it accepts the part that arrived before the connection dropped."""
    needs_finish: bool = True
    sees_errors: bool = True
    drops_last_tool: bool = False
    logs_headers: bool = False
    checks_type: bool = True
    read: Events = events

    def __call__(self, mock: MockSession) -> str:
        """Return the answer to the question."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
        with httpx2.Client(base_url=mock.openai_base_url, timeout=self.patience, trust_env=False) as http:
            for _ in range(4):
                text, calls = self._attempts(http, mock.api_key, messages)
                if not calls:
                    return text
                messages.append({"role": "assistant", "content": text or None, "tool_calls": calls})
                messages += [
                    {"role": "tool", "tool_call_id": call["id"], "content": '{"status": "shipped"}'} for call in calls
                ]
        raise Incomplete("too many rounds")

    def _attempts(self, http: httpx2.Client, key: str, messages: list[dict[str, Any]]) -> tuple[str, list[Any]]:
        for attempt in range(1, self.attempts + 1):
            try:
                return self._ask(http, key, messages)
            except httpx2.HTTPStatusError as error:
                if error.response.status_code not in self.retries or attempt == self.attempts:
                    raise
                wait = float(error.response.headers.get("retry-after", 0)) if self.honours_retry_after else 0
                time.sleep(max(wait, self.pause * attempt))
        raise AssertionError("unreachable")

    def _ask(self, http: httpx2.Client, key: str, messages: list[dict[str, Any]]) -> tuple[str, list[Any]]:
        body = {"model": "gpt-5.4", "messages": messages, "stream": True, "parallel_tool_calls": True, "tools": [TOOL]}
        headers = {"authorization": f"Bearer {key}"}
        if self.logs_headers:
            logging.getLogger("naive").info("POST %s %s", http.base_url, headers)
        with http.stream("POST", "/chat/completions", json=body, headers=headers) as response:
            response.raise_for_status()
            response.request.extensions["timeout"]["read"] = self.stream_patience
            if "event-stream" not in response.headers["content-type"]:
                if self.checks_type:
                    raise Incomplete("not a stream")
                return response.read().decode(), []
            return self._collected(response)

    def _collected(self, response: httpx2.Response) -> tuple[str, list[Any]]:
        text, calls, finished, event = "", dict[int, Any](), False, dict[str, Any]()
        try:
            for data in self.read(response):
                if data == "[DONE]":
                    break
                event = json.loads(data)
                if "error" in event and self.sees_errors:
                    raise Incomplete(event["error"]["message"])
                for choice in event.get("choices", ()):
                    delta = choice["delta"]
                    text += delta.get("content") or ""
                    for part in delta.get("tool_calls", ()):
                        _merge(calls, part)
                    finished = finished or bool(choice.get("finish_reason"))
        except httpx2.TransportError:
            if not self.keeps_partial:
                raise
            finished = True
        if self.needs_finish and not finished and not ("error" in event and not self.sees_errors):
            raise Incomplete("no finish reason")
        found = [calls[index] for index in sorted(calls)]
        return text, found[:-1] if self.drops_last_tool and len(found) > 1 else found


def _merge(calls: dict[int, Any], part: dict[str, Any]) -> None:
    call = calls.setdefault(part["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call["id"] += part.get("id") or ""
    for name, piece in (part.get("function") or {}).items():
        call["function"][name] += piece or ""


GOOD = Client()
NAIVE: dict[str, Client] = {
    "retries_too_often": replace(GOOD, attempts=9, pause=0.12),
    "retries_without_pause": replace(GOOD, pause=0),
    "ignores_retry_after": replace(GOOD, honours_retry_after=False),
    "retries_refusal": replace(GOOD, retries=(*GOOD.retries, 401)),
    "hangs": replace(GOOD, patience=None),
    "hangs_in_stream": replace(GOOD, stream_patience=None),
    "accepts_truncated_stream": replace(GOOD, keeps_partial=True),
    "accepts_unfinished_stream": replace(GOOD, needs_finish=False),
    "swallows_error_event": replace(GOOD, sees_errors=False),
    "drops_last_tool_call": replace(GOOD, drops_last_tool=True),
    "accepts_web_page": replace(GOOD, checks_type=False),
    "breaks_on_legal_stream": replace(GOOD, read=events_by_packet),
    "leaks_key": replace(GOOD, logs_headers=True),
}
"""By the name of the one check that must fail."""
