"""Google's spelling: `:generateContent`, `:streamGenerateContent`, `:countTokens`, models, errors.

Source: Gemini API reference, "Generating content", "Models", "Function calling", "Thinking"; Google AIP-193 (errors).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import groupby
from typing import Any

import orjson

from aione_mock.contract import ErrorSpec
from aione_mock.dialects import blocks, likelihood
from aione_mock.dialects.blocks import Block, Look
from aione_mock.exceptions import APIError
from aione_mock.exchange import (
    Call,
    Choice,
    Completion,
    Picture,
    Prompt,
    Reply,
    Role,
    StreamReply,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)
from aione_mock.model import structured
from aione_mock.sse import encode
from aione_mock.world.catalogue import Model

Json = Any
FINISH = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}
_MODES = {"AUTO": "auto", "MODE_UNSPECIFIED": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
_LEVELS = {"minimal": 64, "low": 256, "medium": 1024, "high": 4096, "xhigh": 8192}
_DYNAMIC = 1024
"""Tokens to think with when the model may decide."""
_WRAPPERS = ({"result"}, {"output"}, {"content"})
"""Members that a function's result is wrapped in when it is no object itself."""
_PAGE = 50
_MOST = 1000


def error(spec: ErrorSpec, failure: APIError, request_id: str) -> Json:
    """The error envelope, with each finding as a field violation."""
    inner = {**spec.body["error"], "message": failure.message}
    if failure.findings:
        violations = [
            {"field": ".".join(map(str, finding["loc"][1:])), "description": finding["msg"]}
            for finding in failure.findings
        ]
        inner["details"] = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    return {"error": inner}


def prompt(call: Call, look: Look) -> Prompt:
    """What `contents` ask, in no protocol's spelling; that of `countTokens` may lie one level deeper."""
    data = call.data.get("generateContentRequest") or call.data
    config = data.get("generationConfig") or {}
    image = config.get("imageConfig") or {}
    choice, allowed = _tool_choice(data)
    format_, schema = _format(config)
    reasoning = _reasoning(config)
    return Prompt(
        model=call.params["model"],
        turns=_turns(data, look),
        tools=tuple(_tools(data)),
        tool_choice=choice,
        allowed_tools=allowed,
        format=format_,
        schema=schema,
        max_tokens=config.get("maxOutputTokens"),
        stops=tuple(config.get("stopSequences") or ()),
        n=config.get("candidateCount", 1),
        seed=config.get("seed"),
        reasoning=reasoning,
        show_reasoning=reasoning > 0 and _shown(call),
        aspect_ratio=image.get("aspectRatio") or "1:1",
        image_size=image.get("imageSize") or "",
    )


def _config(call: Call) -> Mapping[str, Json]:
    return call.data.get("generationConfig") or {}


def _shown(call: Call) -> bool:
    return bool((_config(call).get("thinkingConfig") or {}).get("includeThoughts"))


def _reasoning(config: Mapping[str, Json]) -> int:
    thinking = config.get("thinkingConfig") or {}
    budget = thinking.get("thinkingBudget")
    if budget is not None:
        return _DYNAMIC if budget < 0 else int(budget)
    level = str(thinking.get("thinkingLevel") or "").lower()
    return _LEVELS.get(level, _DYNAMIC if level or thinking.get("includeThoughts") else 0)


def _format(config: Mapping[str, Json]) -> tuple[Any, Mapping[str, Json] | None]:
    schema = _schema(config, "responseSchema", "responseJsonSchema")
    if schema:
        return "schema", schema
    return ("json" if config.get("responseMimeType") == "application/json" else "text"), None


def _schema(holder: Mapping[str, Json], google: str, plain: str) -> Mapping[str, Json] | None:
    """The schema under either of two members: Google's own dialect, or JSON Schema."""
    if holder.get(google):
        found: Mapping[str, Json] = structured.normalise_google(holder[google])
        return found
    return holder[plain] if isinstance(holder.get(plain), dict) else None


def _tools(data: Mapping[str, Json]) -> Iterator[Tool]:
    for tool in data.get("tools") or ():
        for function in tool.get("functionDeclarations") or ():
            schema = _schema(function, "parameters", "parametersJsonSchema") or {"type": "object", "properties": {}}
            yield Tool(function["name"], function.get("description") or "", schema)


def _tool_choice(data: Mapping[str, Json]) -> tuple[str, tuple[str, ...]]:
    config = (data.get("toolConfig") or {}).get("functionCallingConfig") or {}
    choice = _MODES[config.get("mode", "AUTO").upper()]
    allowed = tuple(config.get("allowedFunctionNames") or ())
    if choice == "required" and len(allowed) == 1:
        return "=" + allowed[0], ()
    return choice, allowed


def _turns(data: Mapping[str, Json], look: Look) -> tuple[Turn, ...]:
    found: list[Turn] = []
    if system := data.get("systemInstruction"):
        found += blocks.turns("system", _blocks(system, "systemInstruction", look))
    contents = [(f"contents[{position}]", content) for position, content in enumerate(data["contents"])]
    for model, run in groupby(contents, key=lambda item: item[1].get("role") == "model"):
        if model:
            # Google's chat sends back a streamed answer as it came, a turn for each of its pieces
            pieces = [block for place, content in run for block in _blocks(content, place, look)]
            found += blocks.turns("assistant", pieces, glue="")
        else:
            role: Role = "user"
            for place, content in run:
                found += blocks.turns(role, _blocks(content, place, look))
    return tuple(found)


def _blocks(content: Mapping[str, Json], place: str, look: Look) -> Iterator[Block]:
    """Parts in no protocol's spelling. Thoughts are dropped; of data, only pictures are seen."""
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
            yield ToolCall(call.get("id") or call["name"], call["name"], blocks.text_of(call.get("args") or {}))
        if answer := part.get("functionResponse"):
            yield _result(answer)


def _result(answer: Mapping[str, Json]) -> Turn:
    response = answer["response"]
    failed = set(response) == {"error"}
    value = next(iter(response.values())) if failed or set(response) in _WRAPPERS else response
    identity = answer.get("id") or answer["name"]
    return Turn("tool", results=(ToolResult(identity, answer["name"], blocks.text_of(value), failed),))


def body(completion: Completion, call: Call) -> Json:
    """The plain answer."""
    candidates = [_candidate(choice, index, call) for index, choice in enumerate(completion.choices)]
    return {"candidates": candidates, "usageMetadata": usage(completion.usage), **_tail(completion)}


def _tail(completion: Completion) -> dict[str, Json]:
    return {"modelVersion": completion.model, "responseId": completion.id}


def _candidate(choice: Choice, index: int, call: Call) -> Json:
    choice = _spoken(choice, call)
    parts: list[Json] = []
    if choice.reasoning and _shown(call):
        parts.append({"text": "".join(choice.reasoning), "thought": True})
    if choice.pieces:
        parts.append({"text": choice.text})
    candidate = {**_piece(index, [*parts, *_calls(choice), *map(_picture, choice.pictures)]), **_ending(choice, call)}
    return {**candidate, **_logprobs(choice.pieces, call)}


def _piece(index: int, parts: Sequence[Json]) -> dict[str, Json]:
    return {"content": {"parts": parts, "role": "model"}, "index": index}


def _ending(choice: Choice, call: Call) -> dict[str, Json]:
    ending: dict[str, Json] = {"finishReason": FINISH[choice.finish]}
    if _config(call).get("responseLogprobs") and choice.pieces:
        values = [likelihood.ranked(piece, 1)[0][1] for piece in choice.pieces]
        ending["avgLogprobs"] = round(sum(values) / len(values), 6)
    return ending


def _spoken(choice: Choice, call: Call) -> Choice:
    """With `text/x.enum` the bare word, where JSON has it in quotes."""
    if _config(call).get("responseMimeType") != "text/x.enum":
        return choice
    try:
        word = orjson.loads(choice.text)
    except orjson.JSONDecodeError:  # cut by max_tokens
        return choice
    return replace(choice, pieces=(word,)) if isinstance(word, str) else choice


def _calls(choice: Choice) -> Iterator[Json]:
    for position, tool in enumerate(choice.tool_calls):
        call = {"id": f"fc_{tool.id}", "name": tool.name, "args": orjson.loads(tool.arguments)}
        signed = {"thoughtSignature": signature(choice)} if choice.reasoning and not position else {}
        yield {"functionCall": call, **signed}


def signature(choice: Choice) -> str:
    """The mark under a thought, which goes with the first call: the same for the same thought."""
    thought = "".join(choice.reasoning).encode()
    return base64.b64encode(blake2b(thought, digest_size=48, person=b"thought").digest()).decode()


def _picture(picture: Picture) -> Json:
    return {"inlineData": {"mimeType": picture.mime, "data": base64.b64encode(picture.data).decode()}}


def _logprobs(pieces: Sequence[str], call: Call) -> dict[str, Json]:
    config = _config(call)
    if not config.get("responseLogprobs") or not pieces:
        return {}
    top = int(config.get("logprobs") or 0)
    result: dict[str, Json] = {"chosenCandidates": [_likely(piece, 1)[0] for piece in pieces]}
    if top:
        result["topCandidates"] = [{"candidates": _likely(piece, top)} for piece in pieces]
    return {"logprobsResult": result}


def _likely(piece: str, count: int) -> list[Json]:
    return [{"token": text, "logProbability": value} for text, value in likelihood.ranked(piece, count)]


def usage(spent: Usage, candidates: int | None = None) -> dict[str, int]:
    """Token counts, by default of the whole answer, else up to so many tokens of the candidates.

    Thoughts are not among the candidates' tokens; cached tokens are part of the prompt.
    """
    said = spent.completion - spent.reasoning if candidates is None else candidates
    found = {"promptTokenCount": spent.prompt, "candidatesTokenCount": said}
    if spent.cached:
        found["cachedContentTokenCount"] = spent.cached
    if spent.reasoning:
        found["thoughtsTokenCount"] = spent.reasoning
    return {**found, "totalTokenCount": spent.prompt + said + spent.reasoning}


def chunks(completion: Completion, call: Call) -> Iterator[Json]:
    """The pieces of the same answer.

    A candidate's last piece has its finish reason: an extra one without parts would count as an invalid turn in
    Google's own chat.
    """
    said = 0
    for index, choice in enumerate(completion.choices):
        final = index == len(completion.choices) - 1
        pieces = list(_pieces(_spoken(choice, call), index, call))
        for position, (piece, tokens) in enumerate(pieces):
            said += tokens
            whole = final and position == len(pieces) - 1
            counted = usage(completion.usage, None if whole else said)
            yield {"candidates": [piece], "usageMetadata": counted, **_tail(completion)}


def _pieces(choice: Choice, index: int, call: Call) -> Iterator[tuple[dict[str, Json], int]]:
    """(piece, tokens of the answer in it), at least one."""
    thoughts = choice.reasoning if _shown(call) else ()
    found = [(_piece(index, [{"text": text, "thought": True}]), 0) for text in thoughts]
    found += [({**_piece(index, [{"text": text}]), **_logprobs((text,), call)}, 1) for text in choice.pieces]
    if rest := [*_calls(choice), *map(_picture, choice.pictures)]:
        found.append((_piece(index, rest), 0))
    *before, (last, tokens) = found or [(_piece(index, []), 0)]
    yield from before
    yield {**last, **_ending(choice, call)}, tokens


def events(completion: Completion, call: Call) -> Iterator[bytes]:
    """The stream of the same answer, an encoded event at a time."""
    for chunk in chunks(completion, call):
        yield encode(orjson.dumps(chunk))


def stream(completion: Completion, call: Call, booked: Mapping[str, Any]) -> Reply | StreamReply:
    """The stream as events with `alt=sse`, else its pieces as one JSON array; `booked` goes to the ledger."""
    if call.params.get("alt") == "sse":
        return StreamReply(tuple(events(completion, call)), **booked)
    return Reply([*chunks(completion, call)], **booked)


def token_count(tokens: int) -> Json:
    """The answer of `countTokens`."""
    return {"totalTokens": tokens}


def model(found: Model) -> Json:
    """One model, as Google lists it."""
    drawing = found.can("image_output")
    streaming = [] if drawing else ["streamGenerateContent"]
    described = {
        "name": f"models/{found.id}",
        "baseModelId": found.id,
        "version": found.id.removeprefix("gemini-") if "preview" in found.id else "001",
        "displayName": found.display_name,
        "description": f"{found.display_name} by {found.owner}.",
        "inputTokenLimit": found.context_length,
        "outputTokenLimit": found.max_output_tokens,
        "supportedGenerationMethods": ["generateContent", *streaming, "countTokens"],
    }
    if drawing:
        return described
    settings = {"temperature": 1, "maxTemperature": 2, "topP": 0.95, "topK": 64}
    return {**described, **settings, "thinking": found.can("reasoning")}


def model_page(models: Sequence[Model], params: Mapping[str, Json]) -> Json:
    """One page of models. Raises APIError for a page token that is not the last page's own."""
    size = min(params.get("pageSize", _PAGE), _MOST)
    start = _start(models, params.get("pageToken") or "")
    page: dict[str, Json] = {"models": [model(found) for found in models[start : start + size]]}
    if start + size < len(models):
        page["nextPageToken"] = _token(models[start + size - 1])
    return page


def _token(last: Model) -> str:
    """Names the last model of a page, so that a page follows it whatever is added before."""
    return base64.urlsafe_b64encode(f"models/{last.id}".encode()).decode().rstrip("=")


def _start(models: Sequence[Model], token: str) -> int:
    if not token:
        return 0
    for position, found in enumerate(models):
        if _token(found) == token:
            return position + 1
    raise APIError("invalid_request", "The page token is invalid.", fields={"param": "pageToken"})
