"""A model is called: the one path behind all three protocols."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import ModuleType
from typing import Any

from aione_mock import access
from aione_mock.dialects import anthropic, gemini, openai
from aione_mock.exceptions import APIError
from aione_mock.exchange import Call, Choice, Completion, Prompt, Reply, StreamReply, Usage
from aione_mock.model import caching, composition, structured, vision
from aione_mock.sessions import Session
from aione_mock.values import frozen
from aione_mock.world import days
from aione_mock.world.catalogue import Model

Json = Any
_MEMO_BODY = 4096
"""Bytes of a body that is worth keeping an answer for."""


@frozen
class Draft:
    """An answer before it has an id: a pure function of seed and request."""

    prompt: Prompt
    model: Model
    choices: tuple[Choice, ...]
    usage: Usage


async def create_chat_completion(call: Call, session: Session) -> Reply | StreamReply:
    """`POST /v1/chat/completions`."""
    return await _answer(call, session, openai, stream=bool(call.data.get("stream")))


async def create_message(call: Call, session: Session) -> Reply | StreamReply:
    """`POST /v1/messages`."""
    return await _answer(call, session, anthropic, stream=bool(call.data.get("stream")))


async def generate_content(call: Call, session: Session) -> Reply | StreamReply:
    """`POST /v1beta/models/{model}:generateContent`."""
    return await _answer(call, session, gemini, stream=False)


async def stream_generate_content(call: Call, session: Session) -> Reply | StreamReply:
    """`POST /v1beta/models/{model}:streamGenerateContent`; without `alt=sse` one JSON array."""
    return await _answer(call, session, gemini, stream=True)


async def count_message_tokens(call: Call, session: Session) -> Reply:
    """`POST /v1/messages/count_tokens`."""
    return Reply({"input_tokens": _count(call, session, anthropic)})


async def count_tokens(call: Call, session: Session) -> Reply:
    """`POST /v1beta/models/{model}:countTokens`."""
    return Reply(gemini.token_count(_count(call, session, gemini)))


def _count(call: Call, session: Session, dialect: ModuleType) -> int:
    prompt = dialect.prompt(call, vision.from_data_uri)
    prompt, _ = _addressed(prompt, call, session)
    return composition.prompt_tokens(prompt)


async def _answer(call: Call, session: Session, dialect: ModuleType, *, stream: bool) -> Reply | StreamReply:
    draft = await _draft(call, session, dialect, stream)
    completion = _complete(
        draft, call, session, await caching.measure(draft.prompt, draft.usage, session.store, session.clock.timestamp())
    )
    booked: dict[str, Any] = {"usage": completion.usage, "model": draft.model.id}
    if not stream:
        return Reply(dialect.body(completion, call), **booked)
    return (
        dialect.stream(completion, call, booked)
        if dialect is gemini
        else StreamReply(tuple(dialect.events(completion, call)), **booked)
    )


async def _draft(call: Call, session: Session, dialect: ModuleType, stream: bool) -> Draft:
    who = call.caller and (call.caller.org_id, call.caller.models_allowed)
    # everything but the body that a dialect or a check reads
    today = days.date_of(days.day_of(session.clock.timestamp()))
    memo_key = (call.operation.id, call.params.get("model"), who, call.header("anthropic-beta"), call.body, today)
    known: Draft | None = session.memo.get(memo_key)
    if call.script is None and known is not None:
        return known
    prompt, model = _addressed(dialect.prompt(call, vision.from_data_uri), call, session)
    _supported(prompt, model, call, stream)
    prompt_tokens = composition.prompt_tokens(prompt)
    _fits(prompt, model, prompt_tokens)
    seed = session.seed.child("words", composition.key(prompt))
    if call.script is not None:
        choices = composition.scripted(call.script, prompt, seed, today)
    elif model.can("image_output"):
        choices = await asyncio.to_thread(composition.illustrate, prompt, model, seed)
    else:
        choices = composition.compose(prompt, seed, today)
    usage = composition.usage(prompt_tokens, choices, call.script.usage if call.script else {})
    draft = Draft(prompt, model, choices, usage)
    if len(call.body) <= _MEMO_BODY and call.script is None and not choices[0].pictures:
        session.memo.put(memo_key, draft)
    return draft


def _addressed(prompt: Prompt, call: Call, session: Session) -> tuple[Prompt, Model]:
    """The prompt under the model's own id, and the model. Raises APIError for one unknown or not allowed."""
    model = session.catalogue.find(prompt.model)
    if model is None or not _included(model, call, session):
        raise APIError("model_not_found", f"Model '{prompt.model}' not found", fields={"param": "model"})
    if call.caller is not None:
        access.permit_model(call.caller, prompt.model, model)
    return replace(prompt, model=model.id), model


def _included(model: Model, call: Call, session: Session) -> bool:
    if call.caller is None:
        return True
    models = session.world.organisations[call.caller.org_id].plan.models
    return models is None or model.id in models


def _supported(prompt: Prompt, model: Model, call: Call, stream: bool) -> None:
    """Raises APIError for what the model, or the mock, does not do."""
    if model.can("image_output") and (stream or call.operation.dialect == "anthropic"):
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
        if call.operation.dialect == "gemini"
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


def _complete(draft: Draft, call: Call, session: Session, usage: Usage) -> Completion:
    """The draft under an id of its own: repeating a request gives the same words under a new id."""
    identity = session.seed.token(29, "completion", call.request_id)
    choices = draft.choices
    if any(choice.tool_calls for choice in choices):
        choices = tuple(_with_ids(choice, f"{identity}/{index}", session) for index, choice in enumerate(choices))
    return Completion(identity, int(session.clock.timestamp()), draft.model.id, choices, usage)


def _with_ids(choice: Choice, identity: str, session: Session) -> Choice:
    calls = tuple(
        replace(call, id=session.seed.token(24, "tool", identity, position))
        for position, call in enumerate(choice.tool_calls)
    )
    return replace(choice, tool_calls=calls)
