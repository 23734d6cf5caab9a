"""Google's protocol: `:generateContent`, `:streamGenerateContent`, `:countTokens`, models, errors.

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
from aione_mock.protocols.gemini_request import read_config, read_prompt, shows_thoughts
from aione_mock.structs import replace
from aione_mock.tenant.catalogue import Model
from aione_mock.text.sse import encode
from aione_mock.types import Call, Choice, Completion, EventStream, Json, Picture, TokenText, Usage

__all__ = [
    "read_prompt",
    "render_body",
    "render_error",
    "render_model",
    "render_model_page",
    "render_stream",
    "render_token_count",
    "render_usage",
    "sign_thought",
]
FINISH = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "malformed_call": "MALFORMED_FUNCTION_CALL",
}
_PAGE_SIZE, _MAX_PAGE_SIZE = 50, 1000


def render_error(spec: ErrorSpec, error: APIError, request_id: str) -> Json:
    """Return the error envelope, with each finding as a field violation."""
    inner = {**spec.body["error"], "code": spec.status, "message": error.message}
    if error.findings:
        violations = [
            {"field": ".".join(map(str, finding["loc"][1:])), "description": finding["msg"]}
            for finding in error.findings
        ]
        inner["details"] = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    return {"error": inner}


def render_body(completion: Completion, call: Call) -> bytes:
    """Return the plain answer."""
    candidates = [_render_candidate(choice, index, call) for index, choice in enumerate(completion.choices)]
    usage = render_usage(completion.usage)
    return orjson.dumps({"candidates": candidates, "usageMetadata": usage, **_render_tail(completion)})


def _render_tail(completion: Completion) -> dict[str, Json]:
    return {"modelVersion": completion.model, "responseId": completion.id}


def _render_candidate(choice: Choice, index: int, call: Call) -> Json:
    choice = _strip_enum_quotes(choice, call)
    parts: list[Json] = []
    if choice.reasoning and shows_thoughts(call):
        parts.append({"text": orjson.Fragment(choice.reasoning.json), "thought": True})
    if choice.text:
        parts.append({"text": orjson.Fragment(choice.text.json)})
    parts += [*_render_calls(choice), *map(_render_picture, choice.pictures)]
    return {**_render_parts(index, parts), **_render_ending(choice, call), **_render_logprobs(choice.text, call)}


def _render_parts(index: int, parts: Sequence[Json]) -> dict[str, Json]:
    return {"content": {"parts": parts, "role": "model"}, "index": index}


def _render_ending(choice: Choice, call: Call) -> dict[str, Json]:
    ending: dict[str, Json] = {"finishReason": FINISH[choice.finish]}
    if choice.finish == "malformed_call":
        made = ", ".join([f"{tool.name}({tool.arguments})" for tool in choice.tool_calls])
        ending["finishMessage"] = f"Malformed function call: {made}"
    if read_config(call).get("responseLogprobs") and choice.text:
        values = [log_probabilities.rank_tokens(piece, 1)[0][1] for piece in choice.text.pieces]
        ending["avgLogprobs"] = round(sum(values) / len(values), 6)
    return ending


def _strip_enum_quotes(choice: Choice, call: Call) -> Choice:
    """Return the bare word for `text/x.enum`, where JSON has it in quotation marks."""
    if read_config(call).get("responseMimeType") != "text/x.enum":
        return choice
    try:
        word = orjson.loads(choice.text.text)
    except orjson.JSONDecodeError:  # cut by max_tokens
        return choice
    return replace(choice, text=TokenText.of([word])) if isinstance(word, str) else choice


def _render_calls(choice: Choice) -> Iterator[Json]:
    if choice.finish == "malformed_call":  # the API keeps a call that it cannot parse to itself
        return
    for position, tool in enumerate(choice.tool_calls):
        call = {"id": f"fc_{tool.id}", "name": tool.name, "args": orjson.loads(tool.arguments)}
        signed = {"thoughtSignature": sign_thought(choice)} if choice.reasoning and not position else {}
        yield {"functionCall": call, **signed}


def sign_thought(choice: Choice) -> str:
    """Return the signature of a thought, which goes with the first call: the same for the same thought."""
    thought = choice.reasoning.text.encode()
    return base64.b64encode(blake2b(thought, digest_size=48, person=b"thought").digest()).decode()


def _render_picture(picture: Picture) -> Json:
    return {"inlineData": {"mimeType": picture.mime, "data": base64.b64encode(picture.data).decode()}}


def _render_logprobs(text: TokenText, call: Call) -> dict[str, Json]:
    settings = read_config(call)
    if not settings.get("responseLogprobs") or not text:
        return {}
    top, pieces = int(settings.get("logprobs") or 0), text.pieces
    result: dict[str, Json] = {"chosenCandidates": [_rank_tokens(piece, 1)[0] for piece in pieces]}
    if top:
        result["topCandidates"] = [{"candidates": _rank_tokens(piece, top)} for piece in pieces]
    return {"logprobsResult": result}


def _rank_tokens(piece: str, count: int) -> list[Json]:
    return [{"token": text, "logProbability": value} for text, value in log_probabilities.rank_tokens(piece, count)]


def render_usage(usage: Usage, candidates: int | None = None) -> dict[str, int]:
    """Return the token counts of the whole answer, or of one with so many candidates' tokens.

    Thoughts are not among the candidates' tokens; cached tokens are part of the prompt.
    """
    if candidates is None:
        candidates = usage.completion - usage.reasoning
    counts = {"promptTokenCount": usage.prompt, "candidatesTokenCount": candidates}
    if usage.cached:
        counts["cachedContentTokenCount"] = usage.cached
    if usage.reasoning:
        counts["thoughtsTokenCount"] = usage.reasoning
    return {**counts, "totalTokenCount": usage.prompt + candidates + usage.reasoning}


def _render_chunks(completion: Completion, call: Call) -> list[bytes]:
    """Return the chunks of the same answer, JSON each.

    The last chunk of a candidate has its finish reason: an extra chunk without parts would count as an invalid turn
    in Google's own chat.
    """
    usage, tail = completion.usage, orjson.dumps(_render_tail(completion))[1:]
    usage_template = _make_usage_template(usage)
    known = usage.prompt + usage.reasoning
    chunks: list[bytes] = []
    tokens, piece = 0, b""
    for index, choice in enumerate(completion.choices):
        for piece, added in _split_choice(_strip_enum_quotes(choice, call), index, call):
            tokens += added
            counts = usage_template % (tokens, known + tokens)
            chunks.append(b'{"candidates":[%b],"usageMetadata":%b,%b' % (piece, counts, tail))
    chunks[-1] = b'{"candidates":[%b],"usageMetadata":%b,%b' % (piece, orjson.dumps(render_usage(usage)), tail)
    return chunks


def _make_usage_template(usage: Usage) -> bytes:
    """Return the token counts as JSON, with `%d` for the candidates' tokens and the total."""
    names = [*render_usage(usage, 0).items()]
    members = [(name, "%d" if name in ("candidatesTokenCount", "totalTokenCount") else count) for name, count in names]
    return ("{%s}" % ",".join([f'"{name}":{count}' for name, count in members])).encode()


def _split_choice(choice: Choice, index: int, call: Call) -> list[tuple[bytes, int]]:
    """Return at least one piece as JSON, each with the tokens of the answer in it."""
    pieces: list[tuple[bytes, int]] = []
    before, after = b'{"content":{"parts":[{"text":"', b'"}],"role":"model"},"index":%d}' % index
    if choice.reasoning and shows_thoughts(call):
        thought = b'","thought":true' + after[1:]
        pieces += [(before + text + thought, 0) for text in choice.reasoning.encoded]
    if read_config(call).get("responseLogprobs"):
        for text in choice.text.encoded:
            pieces.append((_merge(before + text + after, _render_logprobs(TokenText((text,)), call)), 1))
    else:
        pieces += [(before + text + after, 1) for text in choice.text.encoded]
    rest = [*_render_calls(choice), *map(_render_picture, choice.pictures)]
    if rest or not pieces:
        pieces.append((orjson.dumps(_render_parts(index, rest)), 0))
    last, tokens = pieces[-1]
    pieces[-1] = _merge(last, _render_ending(choice, call)), tokens
    return pieces


def _merge(serialized: bytes, members: Json) -> bytes:
    """Return a serialized object with more members."""
    return serialized[:-1] + b"," + orjson.dumps(members)[1:]


def render_stream(completion: Completion, call: Call) -> bytes | EventStream:
    """Return the stream as events with `alt=sse`, else its chunks as one JSON array."""
    chunks = _render_chunks(completion, call)
    if call.params.get("alt") == "sse":
        return EventStream(b"".join(map(encode, chunks)))
    return b"[" + b",".join(chunks) + b"]"


def split_body(body: Json, call: Call) -> EventStream:
    """Return the chunks of a plain answer as the events of a stream."""
    return EventStream(b"".join([encode(orjson.dumps(chunk)) for chunk in body]))


def render_token_count(tokens: int) -> Json:
    """Return the answer of `countTokens`."""
    return {"totalTokens": tokens}


def render_model(found: Model) -> Json:
    """Return a model as Google lists it."""
    drawing, embedding = found.has_ability("image_output"), found.has_ability("embeddings")
    streaming = [] if drawing else ["streamGenerateContent"]
    asked = ["embedContent", "batchEmbedContents"] if embedding else ["generateContent", *streaming]
    described = {
        "name": f"models/{found.id}",
        "baseModelId": found.id,
        "version": found.id.removeprefix("gemini-") if "preview" in found.id else "001",
        "displayName": found.display_name,
        "description": f"{found.display_name} by {found.owner}.",
        "inputTokenLimit": found.context_length,
        "outputTokenLimit": found.max_output_tokens,
        "supportedGenerationMethods": [*asked, "countTokens"],
    }
    if drawing or embedding:
        return described
    settings = {"temperature": 1, "maxTemperature": 2, "topP": 0.95, "topK": 64}
    return {**described, **settings, "thinking": found.has_ability("reasoning")}


def render_model_page(models: Sequence[Model], params: Mapping[str, Json]) -> Json:
    """Return one page of models. Raises APIError for a page token that is not the last page's own."""
    size = min(params.get("pageSize", _PAGE_SIZE), _MAX_PAGE_SIZE)
    start = _find_start(models, params.get("pageToken") or "")
    page: dict[str, Json] = {"models": [render_model(found) for found in models[start : start + size]]}
    if start + size < len(models):
        page["nextPageToken"] = _encode_page_token(models[start + size - 1])
    return page


def _encode_page_token(last: Model) -> str:
    """Return the token of the next page. It names the last model, so that models may be added before it."""
    return base64.urlsafe_b64encode(f"models/{last.id}".encode()).decode().rstrip("=")


def _find_start(models: Sequence[Model], token: str) -> int:
    if not token:
        return 0
    for position, found in enumerate(models):
        if _encode_page_token(found) == token:
            return position + 1
    raise APIError("invalid_request", "The page token is invalid.", fields={"param": "pageToken"})
