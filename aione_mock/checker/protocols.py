"""The chat protocols: how a question is written, and how text, usage, finish and tool calls are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from aione_mock.checker.json_reader import JsonReader, is_too_deep
from aione_mock.types import Json


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """The token counts of an answer."""

    prompt: int
    completion: int
    total: int | None
    """None if the protocol has no total."""


@dataclass(frozen=True, slots=True)
class ReportedToolCall:
    """A tool call of an answer."""

    id: Json
    name: Json
    arguments: Json


@dataclass(frozen=True, slots=True)
class ChatQuestion:
    """A question to a model, independent of the protocol."""

    text: str
    max_tokens: int = 48
    stop: tuple[str, ...] = ()
    tool: bool = False
    """Whether the model must call `TOOL`."""
    stream: bool = False
    n: int = 1


@dataclass(frozen=True, slots=True)
class ChatProtocol:
    """How one protocol writes a question and an answer. Readers raise UnreadableAnswer."""

    name: str
    plain: str
    """The operation of plain answers."""
    streamed: str
    """The operation of streams."""
    make_body: Callable[[ChatQuestion, str], dict[str, Json]]
    read_text: Callable[[JsonReader], str]
    """All text of the first choice without reasoning."""
    read_usage: Callable[[JsonReader], ReportedUsage]
    read_finish: Callable[[JsonReader], Json]
    """Why the first choice ended."""
    read_tool_calls: Callable[[JsonReader], list[ReportedToolCall]]

    def make_path_params(self, model: str) -> dict[str, str]:
        """Return the path parameters."""
        return {"model": model} if self.name == "gemini" else {}

    def make_query(self, question: ChatQuestion) -> dict[str, str]:
        """Return the query parameters."""
        return {"alt": "sse"} if self.name == "gemini" and question.stream else {}

    def choose_operation(self, question: ChatQuestion) -> str:
        """Return the operation that answers a question."""
        return self.streamed if question.stream else self.plain


TOOL = "get_weather"
"""The function that questions offer, and the schema of its arguments."""
TOOL_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
    "required": ["city"],
}
_TOOL_DESCRIPTION = "Says what the weather is like in a city."


def _make_openai_body(question: ChatQuestion, model: str) -> dict[str, Json]:
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
        function = {"name": TOOL, "description": _TOOL_DESCRIPTION, "parameters": TOOL_SCHEMA}
        body |= {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}
    if question.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _make_anthropic_body(question: ChatQuestion, model: str) -> dict[str, Json]:
    body: dict[str, Json] = {
        "model": model,
        "messages": [{"role": "user", "content": question.text}],
        "max_tokens": question.max_tokens,
    }
    if question.stop:
        body["stop_sequences"] = list(question.stop)
    if question.tool:
        tool = {"name": TOOL, "description": _TOOL_DESCRIPTION, "input_schema": TOOL_SCHEMA}
        body |= {"tools": [tool], "tool_choice": {"type": "any"}}
    if question.stream:
        body["stream"] = True
    return body


def _make_gemini_body(question: ChatQuestion, model: str) -> dict[str, Json]:
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
        function = {"name": TOOL, "description": _TOOL_DESCRIPTION, "parameters": TOOL_SCHEMA}
        body |= {
            "tools": [{"functionDeclarations": [function]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        }
    return body


def _read_openai_text(answer: JsonReader) -> str:
    content = answer.at("choices", 0, "message").find("content")
    return content if isinstance(content, str) else ""


def _read_anthropic_text(answer: JsonReader) -> str:
    return "".join(block.read_text("text") for block in answer.list_rows("content") if block.find("type") == "text")


def _list_gemini_parts(answer: JsonReader) -> list[JsonReader]:
    content = answer.at("candidates", 0)
    return content.list_rows("content", "parts") if content.find("content", "parts") else []


def _read_gemini_text(answer: JsonReader) -> str:
    parts = [part for part in _list_gemini_parts(answer) if "text" in part.read_members() and not part.find("thought")]
    return "".join(part.read_text("text") for part in parts)


def _read_openai_usage(answer: JsonReader) -> ReportedUsage:
    usage = answer.at("usage")
    return ReportedUsage(
        usage.read_integer("prompt_tokens"), usage.read_integer("completion_tokens"), usage.read_integer("total_tokens")
    )


def _read_anthropic_usage(answer: JsonReader) -> ReportedUsage:
    usage = answer.at("usage")
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return ReportedUsage(
        sum(_read_optional_count(usage, name) for name in names), usage.read_integer("output_tokens"), None
    )


def _read_gemini_usage(answer: JsonReader) -> ReportedUsage:
    usage = answer.at("usageMetadata")
    prompt = usage.read_integer("promptTokenCount") + _read_optional_count(usage, "toolUsePromptTokenCount")
    completion = _read_optional_count(usage, "candidatesTokenCount") + _read_optional_count(usage, "thoughtsTokenCount")
    return ReportedUsage(prompt, completion, usage.read_integer("totalTokenCount"))


def _read_optional_count(usage: JsonReader, name: str) -> int:
    return usage.read_integer(name) if usage.find(name) else 0


def _read_openai_tool_calls(answer: JsonReader) -> list[ReportedToolCall]:
    message = answer.at("choices", 0, "message")
    calls = message.list_rows("tool_calls") if message.find("tool_calls") else []
    return [
        ReportedToolCall(
            call.find("id"),
            call.at("function", "name").value,
            _parse_arguments(call.at("function", "arguments").value),
        )
        for call in calls
    ]


def _parse_arguments(text: Json) -> Json:
    if not isinstance(text, str) or is_too_deep(text):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _read_anthropic_tool_calls(answer: JsonReader) -> list[ReportedToolCall]:
    blocks = [block for block in answer.list_rows("content") if block.find("type") == "tool_use"]
    return [ReportedToolCall(block.find("id"), block.at("name").value, block.at("input").value) for block in blocks]


def _read_gemini_tool_calls(answer: JsonReader) -> list[ReportedToolCall]:
    calls = [part.at("functionCall") for part in _list_gemini_parts(answer) if "functionCall" in part.read_members()]
    return [
        ReportedToolCall(call.find("id"), call.at("name").value, call.read_members().get("args", {})) for call in calls
    ]


def read_response_text(answer: JsonReader) -> str:
    """Return the text of all messages of a response."""
    messages = [item for item in answer.list_rows("output") if item.find("type") == "message"]
    parts = [part for message in messages for part in message.list_rows("content")]
    return "".join(part.read_text("text") for part in parts if part.find("type") == "output_text")


def read_response_tool_calls(answer: JsonReader) -> list[ReportedToolCall]:
    """Return the function calls of a response."""
    calls = [item for item in answer.list_rows("output") if item.find("type") == "function_call"]
    return [
        ReportedToolCall(call.find("call_id"), call.at("name").value, _parse_arguments(call.at("arguments").value))
        for call in calls
    ]


PROTOCOLS: Mapping[str, ChatProtocol] = {
    "openai": ChatProtocol(
        name="openai",
        plain="createChatCompletion",
        streamed="createChatCompletion",
        make_body=_make_openai_body,
        read_text=_read_openai_text,
        read_usage=_read_openai_usage,
        read_finish=lambda answer: answer.at("choices", 0, "finish_reason").value,
        read_tool_calls=_read_openai_tool_calls,
    ),
    "anthropic": ChatProtocol(
        name="anthropic",
        plain="createMessage",
        streamed="createMessage",
        make_body=_make_anthropic_body,
        read_text=_read_anthropic_text,
        read_usage=_read_anthropic_usage,
        read_finish=lambda answer: answer.at("stop_reason").value,
        read_tool_calls=_read_anthropic_tool_calls,
    ),
    "gemini": ChatProtocol(
        name="gemini",
        plain="generateContent",
        streamed="streamGenerateContent",
        make_body=_make_gemini_body,
        read_text=_read_gemini_text,
        read_usage=_read_gemini_usage,
        read_finish=lambda answer: answer.at("candidates", 0).find("finishReason"),
        read_tool_calls=_read_gemini_tool_calls,
    ),
}
