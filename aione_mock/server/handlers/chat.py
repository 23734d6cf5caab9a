"""A model is called: the one path behind all three protocols."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from datetime import date
from types import ModuleType
from typing import Any

import orjson

from aione_mock.errors import APIError
from aione_mock.model import answers, input_images, prompt_cache, structured
from aione_mock.protocols import anthropic, gemini, openai
from aione_mock.seed import Seed
from aione_mock.server import auth
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen, replace
from aione_mock.tenant import calendar
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Call, Choice, Completion, Prompt, Reply, StreamReply, Usage

Answer = Coroutine[Any, Any, Reply | StreamReply]


@frozen
class Draft:
    """An answer before it has an id: a pure function of seed and request."""

    prompt: Prompt
    model: Model
    choices: tuple[Choice, ...]
    usage: Usage


def create_chat_completion(call: Call, session: Session) -> Answer:
    """`POST /v1/chat/completions`."""
    return _answer(call, session, openai, stream=bool(call.data.get("stream")))


def create_message(call: Call, session: Session) -> Answer:
    """`POST /v1/messages`."""
    return _answer(call, session, anthropic, stream=bool(call.data.get("stream")))


def generate_content(call: Call, session: Session) -> Answer:
    """`POST /v1beta/models/{model}:generateContent`."""
    return _answer(call, session, gemini, stream=False)


def stream_generate_content(call: Call, session: Session) -> Answer:
    """`POST /v1beta/models/{model}:streamGenerateContent`; without `alt=sse` one JSON array."""
    return _answer(call, session, gemini, stream=True)


async def count_message_tokens(call: Call, session: Session) -> Reply:
    """`POST /v1/messages/count_tokens`."""
    return Reply({"input_tokens": _count(call, session, anthropic)})


async def count_tokens(call: Call, session: Session) -> Reply:
    """`POST /v1beta/models/{model}:countTokens`."""
    return Reply(gemini.render_token_count(_count(call, session, gemini)))


def _count(call: Call, session: Session, protocol: ModuleType) -> int:
    with _nesting_refused():
        prompt = protocol.read_prompt(call, input_images.read_image_uri)
        prompt, _ = _addressed(prompt, call, session)
        return answers.count_prompt_tokens(prompt)


async def _answer(call: Call, session: Session, protocol: ModuleType, *, stream: bool) -> Reply | StreamReply:
    """Render a draft under ids of its own: a repeated request gets the same words under a new id."""
    draft = await _find_draft(call, session, protocol, stream)
    usage, model, choices = draft.usage, draft.model.id, draft.choices
    if usage.prompt >= prompt_cache.MINIMUM:
        usage = await prompt_cache.measure(draft.prompt, usage, session.store, call.at)
    if choices[0].tool_calls:
        choices = _name_tool_calls(choices, session.seed, call.token)
    completion = Completion(call.token, int(call.at), model, choices, usage)
    if not stream:
        return Reply(protocol.render_body(completion, call), usage=usage, model=model)
    events = protocol.render_stream(completion, call)
    if isinstance(events, bytes):
        return Reply(events, usage=usage, model=model)
    return StreamReply(events, usage=usage, model=model)


def _name_tool_calls(choices: tuple[Choice, ...], seed: Seed, token: str) -> tuple[Choice, ...]:
    """Return the choices with ids for their tool calls."""
    return tuple(
        [
            replace(
                choice,
                tool_calls=tuple(
                    [
                        replace(tool, id=seed.draw_token(24, "tool call", token, index, place))
                        for place, tool in enumerate(choice.tool_calls)
                    ]
                ),
            )
            for index, choice in enumerate(choices)
        ]
    )


async def _find_draft(call: Call, session: Session, protocol: ModuleType, stream: bool) -> Draft:
    """Return the draft of an answer, from the cache if the request came before."""
    today = calendar.timestamp_to_day(call.at)
    if call.script is not None or not session.is_repeated(call.key):
        return await _draft(call, session, protocol, stream, calendar.day_to_date(today))
    scope = call.caller and (call.caller.org_id, call.caller.models_allowed)
    key = (call.key, call.headers, session.seed, scope, today)
    draft: Draft | None = session.cache.get(key)
    if draft is None:
        draft = await _draft(call, session, protocol, stream, calendar.day_to_date(today))
        if not draft.choices[0].pictures:
            session.cache.put(key, draft, size=max(len(call.body), 4 * draft.usage.completion))
    return draft


async def _draft(call: Call, session: Session, protocol: ModuleType, stream: bool, today: date) -> Draft:
    with _nesting_refused():
        return await _compose(call, session, protocol, stream, today)


@contextlib.contextmanager
def _nesting_refused() -> Iterator[None]:
    """Refuse a body that can be read but not serialized again: orjson reads 1,024 levels and writes 254."""
    try:
        yield
    except orjson.JSONEncodeError as error:
        if "Recursion" not in str(error):
            raise
        raise APIError("invalid_request", "The body is nested too deeply.") from None


async def _compose(call: Call, session: Session, protocol: ModuleType, stream: bool, today: date) -> Draft:
    prompt, model = _addressed(protocol.read_prompt(call, input_images.read_image_uri), call, session)
    _supported(prompt, model, call, stream)
    prompt_tokens = answers.count_prompt_tokens(prompt)
    _fits(prompt, model, prompt_tokens)
    seed = Seed(session.seed.keyed_hash(b"words", answers.conversation_key(prompt)))
    if call.script is not None:
        choices = answers.compose_scripted(call.script, prompt, seed, today)
    elif model.has_ability("image_output"):
        choices = await asyncio.to_thread(answers.compose_images, prompt, model, seed)
    else:
        choices = answers.compose_answer(prompt, seed, today)
    usage = answers.count_usage(prompt_tokens, choices, call.script.usage if call.script else {})
    return Draft(prompt, model, choices, usage)


def _addressed(prompt: Prompt, call: Call, session: Session) -> tuple[Prompt, Model]:
    """The prompt under the model's own id, and the model. Raises APIError for one unknown or not allowed."""
    model = session.catalogue.find(prompt.model)
    if model is None or not _included(model, call, session):
        raise APIError("model_not_found", f"Model '{prompt.model}' not found", fields={"param": "model"})
    if call.caller is not None:
        auth.check_model_allowed(call.caller, prompt.model, model)
    return prompt if prompt.model == model.id else replace(prompt, model=model.id), model


def _included(model: Model, call: Call, session: Session) -> bool:
    if call.caller is None:
        return True
    models = session.tenants.organisations[call.caller.org_id].plan.models
    return models is None or model.id in models


def _supported(prompt: Prompt, model: Model, call: Call, stream: bool) -> None:
    """Raises APIError for what the model, or the mock, does not do."""
    if model.has_ability("image_output") and (stream or call.operation.protocol == "anthropic"):
        name = "unsupported_operation" if "unsupported_operation" in call.operation.errors else "invalid_request"
        how = "be streamed" if stream else "be called on this path"
        raise APIError(
            name, f"The image model '{model.id}' cannot {how}.", fields={"param": "stream" if stream else "model"}
        )
    if prompt.schema is not None:
        structured.check(prompt.schema, _schema_param(call))


def _schema_param(call: Call) -> str:
    return (
        "generationConfig.responseSchema"
        if call.operation.protocol == "gemini"
        else "response_format.json_schema.schema"
    )


def _fits(prompt: Prompt, model: Model, prompt_tokens: int) -> None:
    asked = prompt_tokens + min(prompt.max_tokens or 0, model.context_length)
    if asked > model.context_length:
        raise APIError(
            "context_length_exceeded",
            f"This model's maximum context length is {model.context_length} tokens; "
            f"the prompt has {prompt_tokens} and the answer may have {prompt.max_tokens or 0}.",
            fields={"param": "messages"},
        )
