"""Answer calls of models, the same way for all three protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import chain
from types import ModuleType
from typing import Any

import orjson

from aione_mock.errors import APIError
from aione_mock.model import answers, awkward, input_images, prompt_cache, structured
from aione_mock.protocols import anthropic, gemini, openai
from aione_mock.protocols.content_blocks import Look
from aione_mock.seed import Seed
from aione_mock.server import canaries
from aione_mock.server.model_names import find_called_model
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen, replace
from aione_mock.tenant import calendar
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Call, Choice, Completion, Prompt, Reply, StreamReply, Usage

_DRAWING = ("openai", "gemini")
"""Forms of prompts whose answers can hold pictures."""
PromptReader = Callable[[Call, Look], Prompt]
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
    return Reply({"input_tokens": _count_prompt(call, session, anthropic)})


async def count_tokens(call: Call, session: Session) -> Reply:
    """`POST /v1beta/models/{model}:countTokens`."""
    return Reply(gemini.render_token_count(_count_prompt(call, session, gemini)))


def _count_prompt(call: Call, session: Session, protocol: ModuleType) -> int:
    try:
        prompt, _ = _find_model(protocol.read_prompt(call, input_images.read_image_uri), call, session)
        return answers.count_prompt_tokens(prompt)
    except orjson.JSONEncodeError as error:
        raise _refuse_nesting(error) from None


async def _answer(call: Call, session: Session, protocol: ModuleType, *, stream: bool) -> Reply | StreamReply:
    """Render a draft under ids of its own: a repeated request gets the same words under a new id."""
    repeated = call.script is None and session.occurrences.get(call.key, 0) > 1
    draft: Draft | None = session.cache.get(key := _make_key(call, session)) if repeated else None
    if draft is None:
        draft = await draft_answer(call, session, protocol.read_prompt, stream)
        if repeated and not draft.choices[0].pictures:
            head = sum(map(len, chain.from_iterable(call.headers)))  # part of the key
            session.cache.put(key, draft, size=max(head + len(call.body), 4 * draft.usage.completion))
    usage, model, choices = draft.usage, draft.model.id, draft.choices
    if usage.prompt >= prompt_cache.MINIMUM:
        usage = await prompt_cache.count_cached_tokens(draft.prompt, usage, session.store, call.at)
    if session.as_upstream and call.script is None:
        choices = canaries.add_canary(choices, draft.prompt, call.token)
        usage = replace(usage, completion=sum(map(answers.count_completion_tokens, choices)))
    if choices[0].tool_calls:
        choices = name_tool_calls(choices, session.seed, call.token)
    completion = Completion(call.token, int(call.at), model, choices, usage)
    if not stream:
        return Reply(protocol.render_body(completion, call), usage=usage, model=model)
    events = protocol.render_stream(completion, call)
    if isinstance(events, bytes):
        return Reply(events, usage=usage, model=model)
    return StreamReply(events, usage=usage, model=model)


def _make_key(call: Call, session: Session) -> tuple[Any, ...]:
    """Return what a draft depends on."""
    scope = call.caller and (call.caller.org_id, call.caller.models_allowed)
    return call.key, call.headers, session.seed, scope, calendar.timestamp_to_day(call.at)


def name_tool_calls(choices: tuple[Choice, ...], seed: Seed, token: str) -> tuple[Choice, ...]:
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


async def draft_answer(call: Call, session: Session, read_prompt: PromptReader, stream: bool) -> Draft:
    """Compose the answer to a call. Raises APIError for what the model, or the mock, does not do."""
    try:
        prompt, model = _find_model(read_prompt(call, input_images.read_image_uri), call, session)
        draws = "image_output" in model.abilities
        if draws or prompt.schema is not None:
            _check_supported(prompt, model, call, stream)
        prompt_tokens = answers.count_prompt_tokens(prompt)
        if prompt_tokens + (prompt.max_tokens or 0) > model.context_length:
            _check_length(prompt, model, prompt_tokens, call)
        seed = Seed(session.seed.keyed_hash(b"words", answers.conversation_key(prompt)))
        day = calendar.timestamp_to_day(call.at)
        if draws and call.script is None:
            choices = await asyncio.to_thread(answers.compose_images, prompt, model, seed)
        elif call.script is None:
            choices = answers.compose_answer(prompt, seed, day)
        elif call.script.awkward is None:
            choices = answers.compose_scripted(call.script, prompt, seed, day)
        else:
            choices = awkward.compose_awkward(call.script.awkward, prompt, seed, day)
    except orjson.JSONEncodeError as error:
        raise _refuse_nesting(error) from None
    return Draft(
        prompt, model, choices, answers.count_usage(prompt_tokens, choices, call.script.usage if call.script else {})
    )


def _refuse_nesting(error: orjson.JSONEncodeError) -> Exception:
    """Return the refusal of a body that can be read but not serialized: orjson reads 1,024 levels and writes 254."""
    if "Recursion" not in str(error):
        return error
    return APIError("invalid_request", "The body is nested too deeply.")


def _find_model(prompt: Prompt, call: Call, session: Session) -> tuple[Prompt, Model]:
    """Return the prompt under the model's own id, and the model. Raises APIError for one that cannot be called."""
    model = find_called_model(prompt.model, call, session)
    if "embeddings" in model.abilities:
        name = "unsupported_operation" if "unsupported_operation" in call.operation.errors else "invalid_request"
        message = f"The model '{model.id}' makes embeddings and answers no prompts."
        raise APIError(name, message, fields={"param": "model"})
    return prompt if prompt.model == model.id else replace(prompt, model=model.id), model


def _check_supported(prompt: Prompt, model: Model, call: Call, stream: bool) -> None:
    if "image_output" in model.abilities and (stream or call.operation.prompt_format not in _DRAWING):
        name = "unsupported_operation" if "unsupported_operation" in call.operation.errors else "invalid_request"
        how = "be streamed" if stream else "be called on this path"
        raise APIError(
            name, f"The image model '{model.id}' cannot {how}.", fields={"param": "stream" if stream else "model"}
        )
    if prompt.schema is not None:
        structured.check_schema(prompt.schema, _name_schema_param(call))


def _name_schema_param(call: Call) -> str:
    """Return the parameter that holds the schema of the answer."""
    if call.operation.protocol == "anthropic":
        new = (call.data.get("output_config") or {}).get("format")
        return "output_config.format.schema" if new else "output_format.schema"
    if call.operation.prompt_format == "responses":
        return "text.format.schema"
    if call.operation.protocol == "gemini":
        config = call.data["generationConfig"]
        return f"generationConfig.{'responseSchema' if config.get('responseSchema') else 'responseJsonSchema'}"
    return "response_format.json_schema.schema"


def _check_length(prompt: Prompt, model: Model, prompt_tokens: int, call: Call) -> None:
    asked = prompt_tokens + min(prompt.max_tokens or 0, model.context_length)
    if asked > model.context_length:
        param = "input" if call.operation.prompt_format == "responses" else "messages"
        most = prompt.max_tokens or 0
        raise APIError(
            "context_length_exceeded",
            f"This model's maximum context length is {model.context_length} tokens, but {prompt_tokens + most} "
            f"were requested ({prompt_tokens} in the {param}, {most} for the answer). "
            f"Shorten the {param} or lower max_tokens.",
            fields={"param": param},
        )
