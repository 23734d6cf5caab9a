"""Read what a Gemini request asks.

Source: Gemini API reference, "Generating content", "Function calling", "Thinking", "Structured output".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from aione_mock.protocols import content_blocks
from aione_mock.protocols.content_blocks import Block, Look
from aione_mock.protocols.gemini_schema import convert_gemini_schema
from aione_mock.types import Call, Json, Prompt, Role, Tool, ToolCall, ToolResult, Turn

_MODES = {"AUTO": "auto", "MODE_UNSPECIFIED": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
_LEVELS = {"minimal": 64, "low": 256, "medium": 1024, "high": 4096, "xhigh": 8192}
_DYNAMIC = 1024
"""Tokens to think with when the model may decide."""
_WRAPPERS = ({"result"}, {"output"}, {"content"})
"""Members that a function's result is wrapped in when it is no object itself."""


def read_prompt(call: Call, look: Look) -> Prompt:
    """Return what `contents` ask, whatever the protocol; for `countTokens` it may lie one level deeper."""
    data = call.data.get("generateContentRequest") or call.data
    settings = data.get("generationConfig") or {}
    image = settings.get("imageConfig") or {}
    choice, allowed = _read_tool_choice(data)
    format_, schema = _read_format(settings)
    reasoning = _read_reasoning(settings)
    return Prompt(
        model=call.params["model"],
        turns=_read_turns(data, look),
        tools=tuple(_read_tools(data)),
        tool_choice=choice,
        allowed_tools=allowed,
        format=format_,
        schema=schema,
        max_tokens=_read_integer(settings.get("maxOutputTokens")),
        stops=tuple(settings.get("stopSequences") or ()),
        n=int(settings.get("candidateCount", 1)),
        seed=_read_integer(settings.get("seed")),
        reasoning=reasoning,
        show_reasoning=reasoning > 0 and shows_thoughts(call),
        aspect_ratio=image.get("aspectRatio") or "1:1",
        image_size=image.get("imageSize") or "",
    )


def _read_integer(number: float | None) -> int | None:
    """Return an integer, which JSON may write as `1.0`."""
    return None if number is None else int(number)


def read_config(call: Call) -> Mapping[str, Json]:
    """Return the request's `generationConfig`."""
    return call.data.get("generationConfig") or {}


def shows_thoughts(call: Call) -> bool:
    """Return whether the client asked for thoughts."""
    return bool((read_config(call).get("thinkingConfig") or {}).get("includeThoughts"))


def _read_reasoning(settings: Mapping[str, Json]) -> int:
    thinking = settings.get("thinkingConfig") or {}
    budget = thinking.get("thinkingBudget")
    if budget is not None:
        return _DYNAMIC if budget < 0 else int(budget)
    level = str(thinking.get("thinkingLevel") or "").lower()
    return _LEVELS.get(level, _DYNAMIC if level or thinking.get("includeThoughts") else 0)


def _read_format(settings: Mapping[str, Json]) -> tuple[Any, Mapping[str, Json] | None]:
    schema = _read_schema(settings, "responseSchema", "responseJsonSchema")
    if schema:
        return "schema", schema
    return ("json" if settings.get("responseMimeType") == "application/json" else "text"), None


def _read_schema(holder: Mapping[str, Json], google: str, plain: str) -> Mapping[str, Json] | None:
    """Return the schema under either of two members: Google's own form, or JSON Schema."""
    if holder.get(google):
        found: Mapping[str, Json] = convert_gemini_schema(holder[google])
        return found
    return holder[plain] if isinstance(holder.get(plain), dict) else None


def _read_tools(data: Mapping[str, Json]) -> Iterator[Tool]:
    for tool in data.get("tools") or ():
        for function in tool.get("functionDeclarations") or ():
            schema = _read_schema(function, "parameters", "parametersJsonSchema") or {
                "type": "object",
                "properties": {},
            }
            yield Tool(function["name"], function.get("description") or "", schema)


def _read_tool_choice(data: Mapping[str, Json]) -> tuple[str, tuple[str, ...]]:
    calling = (data.get("toolConfig") or {}).get("functionCallingConfig") or {}
    choice = _MODES[calling.get("mode", "AUTO").upper()]
    allowed = tuple(calling.get("allowedFunctionNames") or ())
    if choice == "required" and len(allowed) == 1:
        return "=" + allowed[0], ()
    return choice, allowed


def _read_turns(data: Mapping[str, Json], look: Look) -> tuple[Turn, ...]:
    found: list[Turn] = []
    if system := data.get("systemInstruction"):
        found += content_blocks.build_turns("system", _read_blocks(system, "systemInstruction", look))
    contents = [(f"contents[{position}]", content) for position, content in enumerate(data["contents"])]
    for model, run in groupby(contents, key=lambda item: item[1].get("role") == "model"):
        if model:
            # Google's chat sends back a streamed answer as it came, a turn for each of its pieces
            pieces = [block for place, content in run for block in _read_blocks(content, place, look)]
            found += content_blocks.build_turns("assistant", pieces, glue="")
        else:
            role: Role = "user"
            for place, content in run:
                found += content_blocks.build_turns(role, _read_blocks(content, place, look))
    return tuple(found)


def _read_blocks(content: Mapping[str, Json], place: str, look: Look) -> Iterator[Block]:
    """Return parts, whatever the protocol. Thoughts are dropped; of data, only pictures are read."""
    for position, part in enumerate(content["parts"]):
        where = f"{place}.parts[{position}]"
        if part.get("thought"):
            continue
        if "text" in part:
            yield part["text"]
        if blob := part.get("inlineData"):
            mime = blob["mimeType"].partition(";")[0]
            if mime.startswith("image/"):
                yield look(f"data:{mime};base64,{blob['data']}", f"{where}.inlineData.data")
        if (file := part.get("fileData")) and file.get("mimeType", "image/").startswith("image/"):
            yield look(file["fileUri"], f"{where}.fileData.fileUri")
        if call := part.get("functionCall"):
            yield ToolCall(call.get("id") or call["name"], call["name"], content_blocks.to_text(call.get("args") or {}))
        if answer := part.get("functionResponse"):
            yield _read_result(answer)


def _read_result(answer: Mapping[str, Json]) -> Turn:
    response = answer["response"]
    failed = set(response) == {"error"}
    value = next(iter(response.values())) if failed or set(response) in _WRAPPERS else response
    identity = answer.get("id") or answer["name"]
    return Turn("tool", results=(ToolResult(identity, answer["name"], content_blocks.to_text(value), failed),))
