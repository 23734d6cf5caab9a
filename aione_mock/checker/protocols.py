"""The three protocols as the laws need them: ask, and read text, usage, finish and tool calls of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from aione_mock.types import Json


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """What an answer says that it used."""

    prompt: int
    completion: int
    total: int | None
    """None where the protocol has no total."""


@dataclass(frozen=True, slots=True)
class ReportedToolCall:
    """One tool call of an answer."""

    id: str | None
    name: Json
    arguments: Json


@dataclass(frozen=True, slots=True)
class ChatQuestion:
    """What is asked, before a protocol spells it."""

    text: str
    max_tokens: int = 48
    stop: tuple[str, ...] = ()
    tool: bool = False
    stream: bool = False
    n: int = 1


@dataclass(frozen=True, slots=True)
class ChatProtocol:
    """How one protocol spells a question and an answer."""

    name: str
    plain: str
    """Operation that answers at once."""
    streamed: str
    """Operation that answers as a stream."""
    body: Callable[[ChatQuestion, str], Json]
    text: Callable[[Json], str]
    """All text of the first choice, reasoning left out."""
    usage: Callable[[Json], ReportedUsage]
    finish: Callable[[Json], Json]
    """Why the first choice ended."""
    tools: Callable[[Json], list[ReportedToolCall]]
    length: str
    """The finish of an answer cut by its limit."""
    stopped: tuple[str, ...]
    """The finish of an answer cut by a stop sequence."""

    def params(self, model: str) -> dict[str, str]:
        """Path parameters."""
        return {"model": model} if self.name == "gemini" else {}

    def query(self, question: ChatQuestion) -> dict[str, str]:
        """Query parameters."""
        return {"alt": "sse"} if self.name == "gemini" and question.stream else {}

    def operation(self, question: ChatQuestion) -> str:
        """The operation that a question goes to."""
        return self.streamed if question.stream else self.plain


TOOL = "get_weather"
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
    "required": ["city"],
}
_ABOUT = "Says what the weather is like in a city."


def _openai(question: ChatQuestion, model: str) -> Json:
    body: dict[str, Json] = {
        "model": model,
        "messages": [{"role": "user", "content": question.text}],
        "max_tokens": question.max_tokens,
    }
    if question.n > 1:
        body["n"] = question.n
    if question.stop:
        body["stop"] = list(question.stop)
    if question.tool:
        body["tools"] = [{"type": "function", "function": {"name": TOOL, "description": _ABOUT, "parameters": _SCHEMA}}]
        body["tool_choice"] = "required"
    if question.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _anthropic(question: ChatQuestion, model: str) -> Json:
    body: dict[str, Json] = {
        "model": model,
        "messages": [{"role": "user", "content": question.text}],
        "max_tokens": question.max_tokens,
    }
    if question.stop:
        body["stop_sequences"] = list(question.stop)
    if question.tool:
        body["tools"] = [{"name": TOOL, "description": _ABOUT, "input_schema": _SCHEMA}]
        body["tool_choice"] = {"type": "any"}
    if question.stream:
        body["stream"] = True
    return body


def _gemini(question: ChatQuestion, model: str) -> Json:
    config: dict[str, Json] = {"maxOutputTokens": question.max_tokens}
    if question.stop:
        config["stopSequences"] = list(question.stop)
    if question.n > 1:
        config["candidateCount"] = question.n
    body: dict[str, Json] = {
        "contents": [{"role": "user", "parts": [{"text": question.text}]}],
        "generationConfig": config,
    }
    if question.tool:
        body["tools"] = [{"functionDeclarations": [{"name": TOOL, "description": _ABOUT, "parameters": _SCHEMA}]}]
        body["toolConfig"] = {"functionCallingConfig": {"mode": "ANY"}}
    return body


def _openai_text(answer: Json) -> str:
    content = answer["choices"][0]["message"].get("content")
    return content if isinstance(content, str) else ""


def _anthropic_text(answer: Json) -> str:
    return "".join(block["text"] for block in answer["content"] if block.get("type") == "text")


def _parts(answer: Json) -> list[Mapping[str, Json]]:
    return list((answer["candidates"][0].get("content") or {}).get("parts") or [])


def _gemini_text(answer: Json) -> str:
    return "".join(part["text"] for part in _parts(answer) if "text" in part and not part.get("thought"))


def _openai_usage(answer: Json) -> ReportedUsage:
    usage = answer["usage"]
    return ReportedUsage(usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"])


def _anthropic_usage(answer: Json) -> ReportedUsage:
    usage = answer["usage"]
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return ReportedUsage(sum(usage.get(name) or 0 for name in names), usage["output_tokens"], None)


def _gemini_usage(answer: Json) -> ReportedUsage:
    usage = answer["usageMetadata"]
    made = (usage.get("candidatesTokenCount") or 0) + (usage.get("thoughtsTokenCount") or 0)
    prompt = usage["promptTokenCount"] + (usage.get("toolUsePromptTokenCount") or 0)
    return ReportedUsage(prompt, made, usage["totalTokenCount"])


def _openai_tools(answer: Json) -> list[ReportedToolCall]:
    calls = answer["choices"][0]["message"].get("tool_calls") or []
    return [ReportedToolCall(c.get("id"), c["function"]["name"], _loads(c["function"]["arguments"])) for c in calls]


def _loads(text: Json) -> Json:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        return text


def _anthropic_tools(answer: Json) -> list[ReportedToolCall]:
    return [
        ReportedToolCall(b.get("id"), b["name"], b["input"]) for b in answer["content"] if b.get("type") == "tool_use"
    ]


def _gemini_tools(answer: Json) -> list[ReportedToolCall]:
    calls = [part["functionCall"] for part in _parts(answer) if "functionCall" in part]
    return [ReportedToolCall(call.get("id"), call["name"], call.get("args", {})) for call in calls]


PROTOCOLS: Mapping[str, ChatProtocol] = {
    "openai": ChatProtocol(
        "openai",
        "createChatCompletion",
        "createChatCompletion",
        _openai,
        _openai_text,
        _openai_usage,
        lambda answer: answer["choices"][0]["finish_reason"],
        _openai_tools,
        "length",
        ("stop",),
    ),
    "anthropic": ChatProtocol(
        "anthropic",
        "createMessage",
        "createMessage",
        _anthropic,
        _anthropic_text,
        _anthropic_usage,
        lambda answer: answer["stop_reason"],
        _anthropic_tools,
        "max_tokens",
        ("stop_sequence",),
    ),
    "gemini": ChatProtocol(
        "gemini",
        "generateContent",
        "streamGenerateContent",
        _gemini,
        _gemini_text,
        _gemini_usage,
        lambda answer: answer["candidates"][0].get("finishReason"),
        _gemini_tools,
        "MAX_TOKENS",
        ("STOP",),
    ),
}
