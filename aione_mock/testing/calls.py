"""A call that a session has received, and the answer to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Self

import orjson

from aione_mock.text.sse import decode
from aione_mock.types import Json, Usage

_WRONG_SHAPE = (AttributeError, KeyError, TypeError, IndexError)
"""What reading a body of another shape raises: a test may send anything."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One request and its answer. Credentials are masked."""

    number: int
    """Position in the session, from 1."""
    operation: str | None
    """Operation id, such as `createChatCompletion`; None for a path that does not exist."""
    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers; names in lower case."""
    body: Json = None
    """Request body: JSON, else text; None if there was none."""
    status: int = 0
    """0 if a fault prevented it."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response: Json = None
    """Response body: JSON, else text; None for a stream."""
    events: tuple[Json, ...] = ()
    """The data of each event of a stream: JSON, else text, such as `[DONE]`."""
    ended: str = "finish"
    """`finish`, `cut` or `hang`."""
    stream: bool = False
    model: str | None = None
    usage: Usage | None = None
    cost: Decimal | None = None
    """What the call costs in RMB; None for one that is not billed."""
    at: float = 0.0
    """Unix seconds on the session's clock."""
    rule: str | None = None
    """The rule that made the answer; `reply-1` is the first `reply`."""
    scenario: str | None = None
    """The scenario that was applied."""
    nearest: str | None = None
    """The rule that came nearest, if none was applied."""
    nearest_reasons: tuple[str, ...] = ()
    """Why that rule was not applied."""

    @classmethod
    def from_exchange(cls, exchange: Mapping[str, Json]) -> Self:
        """Convert an `Exchange` of the control API."""
        request, response = exchange["request"], exchange["response"]
        return cls(
            number=exchange["number"],
            operation=exchange["operation"],
            method=exchange["method"],
            path=exchange["path"],
            query=request["query"],
            headers={name.lower(): value for name, value in request["headers"]},
            body=request["body"],
            status=exchange["status"],
            response_headers=dict(response["headers"]),
            response=response["body"],
            events=tuple(_parse_data(event.data) for event in decode(text.encode() for text in response["events"])),
            ended=response["end"],
            stream=exchange["stream"],
            model=exchange["model"],
            usage=Usage(**exchange["usage"]) if exchange["usage"] else None,
            cost=None if exchange["cost"] is None else Decimal(exchange["cost"]),
            at=datetime.fromisoformat(exchange["at"]).timestamp(),
            rule=exchange["rule"],
            scenario=exchange["explain"]["scenario"],
            nearest=(exchange["explain"]["nearest"] or {}).get("rule"),
            nearest_reasons=tuple((exchange["explain"]["nearest"] or {}).get("reasons", ())),
        )

    @property
    def asked(self) -> str:
        """Text of the last message of the request; empty if it has none."""
        with contextlib.suppress(*_WRONG_SHAPE):
            if isinstance(text := self.body.get("input"), str):
                return text
            last = (text or self.body.get("messages") or self.body["contents"])[-1]
            return _read_content_text(last.get("content", last.get("parts")))
        return ""

    @property
    def text(self) -> str:
        """Text of the answer; the events of a stream are joined."""
        bodies = self.response if isinstance(self.response, list) else [self.response]
        return "".join(_answer_text(part) for part in (self.events if self.stream else bodies))

    @property
    def tool_results(self) -> tuple[str, ...]:
        """Ids of the tool calls whose results the request holds; for Gemini their names where it sends no ids."""
        return tuple(_list_tool_result_ids(self.body))

    def __str__(self) -> str:
        parts = [f"{self.method} {self.path}", f"→ {self.status or 'no status'}", self.model or ""]
        parts += ["streamed" if self.stream else "", "" if self.ended == "finish" else self.ended]
        parts += [quote_text(self.asked) if self.asked else ""]
        return "  ".join(filter(None, parts))


def quote_text(text: str, length: int = 60) -> str:
    """Return the text in quotation marks, on one line, shortened to `length` characters."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= length else line[: length - 1] + '…'}”"


def _parse_data(text: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _read_content_text(content: Json) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content or () if isinstance(part.get("text"), str))


def _answer_text(part: Json) -> str:
    """Return the text of the first choice in a body or an event of any protocol."""
    with contextlib.suppress(*_WRONG_SHAPE):
        if choice := next(iter(part.get("choices") or ()), None):
            text = _read_content_text(choice.get("message", choice.get("delta", {})).get("content"))
            return "" if choice.get("index") else text
        if "candidates" in part:
            return "".join(p["text"] for p in part["candidates"][0]["content"]["parts"] if "text" in p)
        if part.get("type") == "content_block_delta":
            return str(part["delta"].get("text", ""))
        return "".join(block["text"] for block in part.get("content", ()) if block.get("type") == "text")
    return ""


def _list_tool_result_ids(value: Json) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _list_tool_result_ids(item)
    elif isinstance(value, dict):
        response = value.get("functionResponse", value.get("function_response"))
        if isinstance(response, dict):
            yield str(response.get("id") or response.get("name"))
            return
        yield from (value[name] for name in ("tool_call_id", "tool_use_id") if isinstance(value.get(name), str))
        for item in value.values():
            yield from _list_tool_result_ids(item)
