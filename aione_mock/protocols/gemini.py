"""Google's spelling: `:generateContent`, `:streamGenerateContent`, `:countTokens`, models, errors.

Source: Gemini API reference, "Generating content", "Models", "Function calling", "Thinking"; Google AIP-193 (errors).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b

import orjson

from aione_mock.contract import ErrorSpec
from aione_mock.errors import APIError
from aione_mock.protocols import log_probabilities
from aione_mock.protocols.gemini_request import config, prompt, shown
from aione_mock.protocols.stencil import around, quote
from aione_mock.sse import encode
from aione_mock.structs import replace
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Call, Choice, Completion, EventStream, Json, Picture, TokenText, Usage

__all__ = [
    "body",
    "error",
    "model",
    "model_page",
    "prompt",
    "signature",
    "stream",
    "token_count",
    "usage",
]
FINISH = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}
_SAID = 10**15
"""Stands for the tokens said so far, where a number is to be put."""
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


def body(completion: Completion, call: Call) -> Json:
    """The plain answer."""
    candidates = [_candidate(choice, index, call) for index, choice in enumerate(completion.choices)]
    return {"candidates": candidates, "usageMetadata": usage(completion.usage), **_tail(completion)}


def _tail(completion: Completion) -> dict[str, Json]:
    return {"modelVersion": completion.model, "responseId": completion.id}


def _candidate(choice: Choice, index: int, call: Call) -> Json:
    choice = _spoken(choice, call)
    parts: list[Json] = []
    if choice.reasoning and shown(call):
        parts.append({"text": choice.reasoning.text, "thought": True})
    if choice.text:
        parts.append({"text": choice.text.text})
    candidate = {**_piece(index, [*parts, *_calls(choice), *map(_picture, choice.pictures)]), **_ending(choice, call)}
    return {**candidate, **_logprobs(choice.text.pieces, call)}


def _piece(index: int, parts: Sequence[Json]) -> dict[str, Json]:
    return {"content": {"parts": parts, "role": "model"}, "index": index}


def _ending(choice: Choice, call: Call) -> dict[str, Json]:
    ending: dict[str, Json] = {"finishReason": FINISH[choice.finish]}
    if config(call).get("responseLogprobs") and choice.text:
        values = [log_probabilities.ranked(piece, 1)[0][1] for piece in choice.text.pieces]
        ending["avgLogprobs"] = round(sum(values) / len(values), 6)
    return ending


def _spoken(choice: Choice, call: Call) -> Choice:
    """With `text/x.enum` the bare word, where JSON has it in quotes."""
    if config(call).get("responseMimeType") != "text/x.enum":
        return choice
    try:
        word = orjson.loads(choice.text.text)
    except orjson.JSONDecodeError:  # cut by max_tokens
        return choice
    return replace(choice, text=TokenText.of([word])) if isinstance(word, str) else choice


def _calls(choice: Choice) -> Iterator[Json]:
    for position, tool in enumerate(choice.tool_calls):
        call = {"id": f"fc_{tool.id}", "name": tool.name, "args": orjson.loads(tool.arguments)}
        signed = {"thoughtSignature": signature(choice)} if choice.reasoning and not position else {}
        yield {"functionCall": call, **signed}


def signature(choice: Choice) -> str:
    """The mark under a thought, which goes with the first call: the same for the same thought."""
    thought = choice.reasoning.text.encode()
    return base64.b64encode(blake2b(thought, digest_size=48, person=b"thought").digest()).decode()


def _picture(picture: Picture) -> Json:
    return {"inlineData": {"mimeType": picture.mime, "data": base64.b64encode(picture.data).decode()}}


def _logprobs(pieces: Sequence[str], call: Call) -> dict[str, Json]:
    settings = config(call)
    if not settings.get("responseLogprobs") or not pieces:
        return {}
    top = int(settings.get("logprobs") or 0)
    result: dict[str, Json] = {"chosenCandidates": [_likely(piece, 1)[0] for piece in pieces]}
    if top:
        result["topCandidates"] = [{"candidates": _likely(piece, top)} for piece in pieces]
    return {"logprobsResult": result}


def _likely(piece: str, count: int) -> list[Json]:
    return [{"token": text, "logProbability": value} for text, value in log_probabilities.ranked(piece, count)]


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


def _chunks(completion: Completion, call: Call) -> list[bytes]:
    """The pieces of the same answer, JSON each.

    A candidate's last piece has its finish reason: an extra one without parts would count as an invalid turn in
    Google's own chat.
    """
    spent, tail = completion.usage, orjson.dumps(_tail(completion))
    counts, before_it = orjson.dumps(usage(spent, _SAID)), spent.prompt + spent.reasoning
    counts = counts.replace(b"%d" % _SAID, b"%d").replace(b"%d" % (before_it + _SAID), b"%d")
    found: list[bytes] = []
    said = 0
    for index, choice in enumerate(completion.choices):
        for piece, tokens in _pieces(_spoken(choice, call), index, call):
            said += tokens
            counted = counts % (said, before_it + said)
            found.append(b'{"candidates":[%b],"usageMetadata":%b,%b' % (piece, counted, tail[1:]))
    found[-1] = b'{"candidates":[%b],"usageMetadata":%b,%b' % (piece, orjson.dumps(usage(spent)), tail[1:])
    return found


def _pieces(choice: Choice, index: int, call: Call) -> list[tuple[bytes, int]]:
    """(piece as JSON, tokens of the answer in it), at least one."""
    found: list[tuple[bytes, int]] = []
    if choice.reasoning and shown(call):
        before, after = around(lambda text: orjson.dumps(_piece(index, [{"text": text, "thought": True}])))
        found += [(before + text + after, 0) for text in quote(choice.reasoning)]
    before, after = around(lambda text: orjson.dumps(_piece(index, [{"text": text}])))
    if config(call).get("responseLogprobs"):
        for text, piece in zip(quote(choice.text), choice.text.pieces, strict=True):
            found.append((_both(before + text + after, _logprobs((piece,), call)), 1))
    else:
        found += [(before + text + after, 1) for text in quote(choice.text)]
    if not found or choice.tool_calls or choice.pictures:
        rest = [*_calls(choice), *map(_picture, choice.pictures)]
        found.append((orjson.dumps(_piece(index, rest)), 0))
    last, tokens = found[-1]
    found[-1] = _both(last, _ending(choice, call)), tokens
    return found


def _both(spelled: bytes, more: Json) -> bytes:
    """An object with more members."""
    return spelled[:-1] + b"," + orjson.dumps(more)[1:]


def stream(completion: Completion, call: Call) -> bytes | EventStream:
    """The stream as events with `alt=sse`, else its pieces as one JSON array."""
    found = _chunks(completion, call)
    return (
        EventStream(b"".join(map(encode, found))) if call.params.get("alt") == "sse" else b"[" + b",".join(found) + b"]"
    )


def token_count(tokens: int) -> Json:
    """The answer of `countTokens`."""
    return {"totalTokens": tokens}


def model(found: Model) -> Json:
    """One model, as Google lists it."""
    drawing = found.has_ability("image_output")
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
    return {**described, **settings, "thinking": found.has_ability("reasoning")}


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
