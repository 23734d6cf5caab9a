"""A call that a session has seen, as a test looks at it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import orjson

from aione_mock.sse import decode
from aione_mock.types import Json, Usage


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One request and its answer. Credentials are masked."""

    number: int
    """Its place in the session, from 1."""
    operation: str | None
    """Operation id, such as `createChatCompletion`; None for a path that does not exist."""
    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the request; names in lower case."""
    body: Json = None
    """Of the request: JSON, or text where it was none; None where there was none."""
    status: int = 0
    """0 where a fault sent none."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response: Json = None
    """The answer's body: JSON, or text where it was none; None for a stream."""
    events: tuple[Json, ...] = ()
    """Data of each event of a stream as it was sent: JSON, or text where it is none, such as `[DONE]`."""
    ended: str = "finish"
    """`finish`, `cut` or `hang`."""
    stream: bool = False
    model: str | None = None
    usage: Usage | None = None
    at: float = 0.0
    """Unix seconds on the session's clock."""
    rule: str | None = None
    """The rule that made the answer; `reply-1` is the first `reply`."""
    scenario: str | None = None
    """What was played."""

    @classmethod
    def of(cls, exchange: Mapping[str, Json]) -> Self:
        """An `Exchange` of the control API."""
        request, response = exchange["request"], exchange["response"]
        return cls(
            exchange["number"],
            exchange["operation"],
            exchange["method"],
            exchange["path"],
            request["query"],
            {name.lower(): value for name, value in request["headers"]},
            request["body"],
            exchange["status"],
            dict(response["headers"]),
            response["body"],
            tuple(_data(event.data) for event in decode(text.encode() for text in response["events"])),
            response["end"],
            exchange["stream"],
            exchange["model"],
            Usage(**exchange["usage"]) if exchange["usage"] else None,
            datetime.fromisoformat(exchange["at"]).timestamp(),
            exchange["rule"],
            exchange["explain"]["scenario"],
        )

    @property
    def asked(self) -> str:
        """Text of the last message of the request; empty where it has none."""
        with contextlib.suppress(AttributeError, KeyError, TypeError, IndexError):
            last = (self.body.get("messages") or self.body["contents"])[-1]
            return _words(last.get("content", last.get("parts")))
        return ""

    @property
    def text(self) -> str:
        """What the model said in the answer, put together from the events of a stream."""
        whole = self.response if isinstance(self.response, list) else [self.response]
        return "".join(_said(part) for part in (self.events if self.stream else whole))

    @property
    def tool_results(self) -> tuple[str, ...]:
        """Ids of the tool calls whose results the request brings; Gemini's names where it sends no ids."""
        return tuple(_results(self.body))

    def __str__(self) -> str:
        parts = [f"{self.method} {self.path}", f"→ {self.status or 'no status'}", self.model or ""]
        parts += ["streamed" if self.stream else "", "" if self.ended == "finish" else self.ended]
        parts += [shown(self.asked) if self.asked else ""]
        return "  ".join(filter(None, parts))


def shown(text: str, length: int = 60) -> str:
    """A text in quotes, on one line and not too long."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= length else line[: length - 1] + '…'}”"


def _data(text: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _words(content: Json) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content or () if isinstance(part.get("text"), str))


def _said(part: Json) -> str:
    """Words of the first alternative in a body or an event, of whichever protocol."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, IndexError):
        if choice := next(iter(part.get("choices") or ()), None):
            return _words(choice.get("message", choice.get("delta", {})).get("content")) * (not choice.get("index"))
        if "candidates" in part:
            return "".join(p["text"] for p in part["candidates"][0]["content"]["parts"] if "text" in p)
        if part.get("type") == "content_block_delta":
            return str(part["delta"].get("text", ""))
        return "".join(block["text"] for block in part.get("content", ()) if block.get("type") == "text")
    return ""


def _results(value: Json) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _results(item)]
    if not isinstance(value, dict):
        return []
    found = [value[name] for name in ("tool_call_id", "tool_use_id") if isinstance(value.get(name), str)]
    if isinstance(answer := value.get("functionResponse", value.get("function_response")), dict):
        return [str(answer.get("id") or answer.get("name"))]
    return found + [inner for item in value.values() for inner in _results(item)]
