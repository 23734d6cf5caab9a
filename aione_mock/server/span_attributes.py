"""Describe a call as attributes of a span, by OpenTelemetry's semantic conventions for HTTP and for generative AI.

Source: OpenTelemetry semantic conventions 1.41, "HTTP spans" and "Generative AI spans". Credentials are masked.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from aione_mock.text.sse import decode
from aione_mock.types import Json, Response, header

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange
    from aione_mock.server.observers import Delivery

Attributes = dict[str, str | bool | int | float | Sequence[str]]
_OPERATIONS = {
    "openai": "chat",
    "anthropic": "chat",
    "responses": "chat",
    "gemini": "generate_content",
    "": "embeddings",
}
"""Name of the operation, by the format of its prompt."""
_PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini"}
"""Whose API is spoken, by protocol."""
Path = tuple[str, ...]
Mask = Callable[[str], str]
"""Masks the credentials in a text."""
_ANSWER_IDS: Mapping[str, tuple[Path, ...]] = {
    "openai": (("id",),),
    "anthropic": (("id",), ("message", "id")),
    "gemini": (("responseId",),),
    "responses": (("id",), ("response", "id")),
}
"""Where the id of an answer stands, and where in the first event of a stream, by the format of the prompt."""
_FINISH_REASONS: Mapping[str, tuple[Path, ...]] = {
    "openai": (("choices", "*", "finish_reason"),),
    "anthropic": (("stop_reason",), ("delta", "stop_reason")),
    "gemini": (("candidates", "*", "finishReason"),),
    "responses": (("status",), ("response", "status")),
}
"""Where it stands why an answer ended, and where in the last events of a stream."""
_ENDINGS = {
    "openai": re.compile(rb'"finish_reason"\s*:\s*"'),
    "anthropic": re.compile(rb'"stop_reason"\s*:\s*"'),
    "gemini": re.compile(rb'"finishReason"\s*:\s*"'),
    "responses": re.compile(rb'"response"\s*:\s*{'),
}
"""What events that say why an answer ended contain, by the format of the prompt."""
_PARAMETERS: Mapping[str, tuple[Path, ...]] = {
    "max_tokens": (
        ("max_tokens",),
        ("max_completion_tokens",),
        ("max_output_tokens",),
        ("generationConfig", "maxOutputTokens"),
    ),
    "seed": (("seed",), ("generationConfig", "seed")),
    "choice.count": (("n",), ("generationConfig", "candidateCount")),
    "temperature": (("temperature",), ("generationConfig", "temperature")),
    "top_p": (("top_p",), ("generationConfig", "topP")),
    "top_k": (("top_k",), ("generationConfig", "topK")),
}
"""Where parameters of a call stand in its body, by their name in the conventions."""
_NEVER = re.compile(rb"(?!)")
_WHOLE = ("max_tokens", "seed", "choice.count")
"""Parameters that are whole numbers; others are not."""
_NAME_CHARS = 200
"""Characters of a name that a client chose."""


def name_span(exchange: Exchange) -> str:
    """Return a name of which there are few: operation and model of a call to a model, else method and route."""
    operation = exchange.operation
    if operation is None:
        return exchange.request.method if exchange.request.method.isalpha() else "HTTP"
    if not operation.paid:
        return f"{operation.method} {operation.path}"
    known = exchange.session.catalogue.names.get(exchange.model or "")
    name = _OPERATIONS.get(operation.prompt_format, operation.prompt_format)
    return name if known is None else f"{name} {known.id}"


def describe_request(exchange: Exchange, scheme: str, mask: Mask) -> Attributes:
    """Return what is known when a request arrives."""
    request, operation = exchange.request, exchange.operation
    found: Attributes = {
        "http.request.method": request.method,
        "url.path": request.path if operation is not None and operation.path == request.path else mask(request.path),
        "url.scheme": scheme,
        "client.address": request.client,
    }
    if operation is not None:
        found["http.route"] = operation.path
    if (host := header(request.headers, b"host")) is not None:
        found |= _describe_host(host)
    if (agent := header(request.headers, b"user-agent")) is not None:
        found["user_agent.original"] = mask(agent)[:_NAME_CHARS]
    return found


def _describe_host(host: str) -> Attributes:
    name, _, port = host.rpartition(":") if host[-1:].isdigit() and ":" in host else (host, "", "")
    found: Attributes = {"server.address": name[:_NAME_CHARS]}
    return found | ({"server.port": int(port)} if port.isdecimal() and len(port) < 6 else {})


def describe_answer(exchange: Exchange, delivery: Delivery, mask: Mask) -> Attributes:
    """Return what is known when an answer has ended."""
    found: Attributes = {"aione_mock.session": mask(exchange.session.name)}
    if delivery.response.status:
        found["http.response.status_code"] = delivery.response.status
    if (error := find_error(exchange, delivery)) is not None:
        found["error.type"] = error
    named = ("request_id", exchange.request_id), ("rule", exchange.rule), ("scenario", exchange.scenario_label)
    found |= {f"aione_mock.{name}": mask(value) for name, value in named if value}
    if exchange.operation is not None and exchange.operation.paid:
        found |= _describe_model_call(exchange, delivery, mask)
    return found


def find_error(exchange: Exchange, delivery: Delivery) -> str | None:
    """Return the name of the error that a call ended with, if it did."""
    if exchange.error is not None:
        return exchange.error
    if not delivery.response.status or delivery.response.end != "finish":
        return "connection_reset" if _is_reset(delivery.response) else f"connection_{delivery.response.end}"
    if not delivery.sent:
        return "client_disconnected"
    return str(delivery.response.status) if delivery.response.status >= 400 else None


def _is_reset(response: Response) -> bool:
    return not response.status and response.end == "cut"


def is_failure(exchange: Exchange, delivery: Delivery) -> bool:
    """Return whether the server failed; that it refuses a request is no failure of its own."""
    damaged = not delivery.response.status or delivery.response.end != "finish"
    return damaged or delivery.response.status >= 500


def _describe_model_call(exchange: Exchange, delivery: Delivery, mask: Mask) -> Attributes:
    operation = exchange.operation
    assert operation is not None
    found: Attributes = {
        "gen_ai.operation.name": _OPERATIONS.get(operation.prompt_format, operation.prompt_format),
        "gen_ai.provider.name": _PROVIDERS.get(operation.protocol, operation.protocol),
    }
    asked, usage = exchange.read_model() or exchange.model, exchange.usage
    for name, model in (("request", asked), ("response", exchange.model)):
        if model is not None:
            known = model in exchange.session.catalogue.names
            found[f"gen_ai.{name}.model"] = model if known else mask(model[: 2 * _NAME_CHARS])[:_NAME_CHARS]
    if usage is not None:
        found |= {"gen_ai.usage.input_tokens": usage.prompt, "gen_ai.usage.output_tokens": usage.completion}
        found["gen_ai.usage.cache_read.input_tokens"] = usage.cached
        found["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write
        found["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning
    if exchange.stream:
        found["gen_ai.request.stream"] = True
        if delivery.first is not None:
            found["gen_ai.response.time_to_first_chunk"] = max(0.0, delivery.first - delivery.started)
    return found | _describe_parameters(exchange) | _describe_end(exchange, delivery.response, mask)


def _describe_parameters(exchange: Exchange) -> Attributes:
    """Return the numbers in a call's body that say how to answer."""
    found, body = Attributes(), _load([exchange.request.body or b""]) if exchange.valid else []
    for name, paths in _PARAMETERS.items():
        kind = int if name in _WHOLE else float
        for value in [value for data in body for path in paths for value in _follow(data, path)]:
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[f"gen_ai.request.{name}"] = kind(value)
    if found.get("gen_ai.request.choice.count") == 1:
        del found["gen_ai.request.choice.count"]
    return found


def _describe_end(exchange: Exchange, response: Response, mask: Mask) -> Attributes:
    """Return id and finish reasons of an answer, read from its body or from the first and the last events."""
    operation = exchange.operation
    if operation is None or exchange.error is not None:
        return {}
    parts, form = _list_parts(exchange, response), operation.prompt_format
    ids = _find_texts(parts[:1], _ANSWER_IDS.get(form, ()))
    reasons = _find_texts(parts, _FINISH_REASONS.get(form, ()))
    found: Attributes = {"gen_ai.response.id": mask(ids[0])} if ids else {}
    if reasons:
        # each event of the Responses API repeats the status
        found["gen_ai.response.finish_reasons"] = reasons[-1:] if form == "responses" else reasons
    return found


def _list_parts(exchange: Exchange, response: Response) -> list[Json]:
    """Return the JSON of an answer, or of those events of a stream that say how it began and ended."""
    raw = b"".join([data for _, data in response.sends])
    if not exchange.stream:
        return _load([raw])
    first, *rest = raw.split(b"\n\n")
    ending = _ENDINGS.get(exchange.operation.prompt_format if exchange.operation else "", _NEVER)
    chosen = [first, *[event for event in rest if ending.search(event)], b""]
    return _load([event.data.encode() for event in decode([b"\n\n".join(chosen)])])


def _load(texts: Sequence[bytes]) -> list[Json]:
    found: list[Json] = []
    for text in texts:
        with contextlib.suppress(orjson.JSONDecodeError):
            found.append(orjson.loads(text))
    return found


def _find_texts(values: Sequence[Json], paths: Sequence[Path]) -> list[str]:
    found = [each for value in values for path in paths for each in _follow(value, path)]
    return [each for each in found if isinstance(each, str)]


def _follow(value: Json, path: Path) -> Iterator[Json]:
    if not path:
        yield value
    elif path[0] == "*":
        for item in value if isinstance(value, list) else ():
            yield from _follow(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _follow(value[path[0]], path[1:])
