"""A model is called: the one path behind all three protocols."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from datetime import date
from functools import partial
from types import ModuleType
from typing import Any, Literal

import orjson

from aione_mock.errors import APIError
from aione_mock.model import answers, input_images, prompt_cache, structured
from aione_mock.protocols import anthropic, gemini, openai, stencil
from aione_mock.protocols.stencil import Spelled, Stencil
from aione_mock.seed import Seed
from aione_mock.server import auth
from aione_mock.server.handlers.outline import Outline, fits, saying
from aione_mock.server.journal import clean
from aione_mock.server.request import PROBE
from aione_mock.server.sessions import Session
from aione_mock.structs import frozen, replace
from aione_mock.tenant import calendar
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Call, Choice, Completion, EventStream, Prompt, Reply, StreamReply, Usage

Answer = Coroutine[Any, Any, Reply | StreamReply]
_MEMO_BODY, _MEMO_ANSWER = 4096, 64 << 10
"""Bytes of a body that is worth keeping an answer for, and of the answer."""


@frozen
class Draft:
    """An answer before it has an id: a pure function of seed and request."""

    prompt: Prompt
    model: Model
    choices: tuple[Choice, ...]
    usage: Usage
    stencil: Stencil | None = None
    """The answer spelled out, once it was asked for again."""


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
    return Reply(gemini.token_count(_count(call, session, gemini)))


def _count(call: Call, session: Session, protocol: ModuleType) -> int:
    with _deep():
        prompt = protocol.prompt(call, input_images.read_image_uri)
        prompt, _ = _addressed(prompt, call, session)
        return answers.count_prompt_tokens(prompt)


async def _answer(call: Call, session: Session, protocol: ModuleType, *, stream: bool) -> Reply | StreamReply:
    """The draft under an id of its own: repeating a request gives the same words under a new id."""
    outlined = call.form is not None and call.script is None and not session.came_before(call.key)
    if outlined:
        known: Outline | Literal[False] | None = session.memo.get((call.form, call.caller))
        if known and (reply := known.reply(call, session)) is not None:
            return reply
        outlined = known is None
    draft = await _draft(call, session, protocol, stream)
    usage, cut, model, created = draft.usage, draft.stencil, draft.model.id, int(call.at)
    if usage.prompt >= prompt_cache.MINIMUM:
        usage = await prompt_cache.measure(draft.prompt, usage, session.store, call.at)
    if cut is not None and usage is draft.usage and created in stencil.TIMES:
        said, safe = cut.filled(call.token, created, session.seed), cut.clean
    else:
        choices = stencil.named(draft.choices, partial(stencil.call_id, session.seed, call.token))
        said, safe = _spelled(Completion(call.token, created, model, choices, usage), call, protocol, stream), False
    if outlined:
        session.memo.put((call.form, call.caller), _outline(draft, said, call, session, protocol) or False)
    if isinstance(said, bytes):
        return Reply(said, usage=usage, model=model, clean=safe)
    return StreamReply(said, usage=usage, model=model, clean=safe)


def _outline(draft: Draft, said: Spelled, call: Call, session: Session, protocol: ModuleType) -> Outline | None:
    """What other calls of the same form will have in common with this one; nothing if that is not sure."""
    other = replace(call, data=call.form.other)
    asked = replace(protocol.prompt(other, input_images.read_image_uri), model=draft.model.id)
    if not (fits(draft.prompt, draft.model, call.words) and asked == saying(draft.prompt, PROBE)):
        return None
    spell = partial(_spelled, call=other, protocol=protocol, stream=isinstance(said, EventStream))
    try:
        found = Outline(draft.prompt, draft.model, spell)
    except ValueError:
        return None
    reply = found.reply(call, session)
    told = reply.events.raw if isinstance(reply, StreamReply) else reply and reply.body
    return found if told == (said.raw if isinstance(said, EventStream) else said) else None


def _spelled(completion: Completion, call: Call, protocol: ModuleType, stream: bool) -> Spelled:
    if not stream:
        return orjson.dumps(protocol.body(completion, call))
    spelled: Spelled = protocol.stream(completion, call)
    return spelled


async def _draft(call: Call, session: Session, protocol: ModuleType, stream: bool) -> Draft:
    who = call.caller and (call.caller.org_id, call.caller.models_allowed)
    # everything but the request that a protocol or a check reads
    today = calendar.timestamp_to_day(call.at)
    beta = call.header("anthropic-beta") if protocol is anthropic else None
    memo_key = (call.key, who, beta, today)
    known: Draft | None = session.memo.get(memo_key) if call.script is None else None
    if known is not None:
        return known
    draft = await _drafted(call, session, protocol, stream, calendar.day_to_date(today))
    if call.script is not None or draft.choices[0].pictures or len(call.body) > _MEMO_BODY:
        return draft
    # most requests never come again, so only the second time is worth a stencil and the room
    if session.came_before(call.key):
        spell = partial(_spelled, call=call, protocol=protocol, stream=stream)
        cut = None
        with contextlib.suppress(ValueError):
            cut = Stencil(spell, draft.model.id, draft.choices, draft.usage, clean)
        if cut is None or cut.size <= _MEMO_ANSWER:
            draft = Draft(draft.prompt, draft.model, draft.choices, draft.usage, cut)
            session.memo.put(memo_key, draft)
    return draft


async def _drafted(call: Call, session: Session, protocol: ModuleType, stream: bool, today: date) -> Draft:
    with _deep():
        return await _made(call, session, protocol, stream, today)


@contextlib.contextmanager
def _deep() -> Iterator[None]:
    """Refuse what can be read, but not be spelled again: orjson reads 1,024 levels and writes 254."""
    try:
        yield
    except orjson.JSONEncodeError as error:
        if "Recursion" not in str(error):
            raise
        raise APIError("invalid_request", "The body is nested too deeply.") from None


async def _made(call: Call, session: Session, protocol: ModuleType, stream: bool, today: date) -> Draft:
    prompt, model = _addressed(protocol.prompt(call, input_images.read_image_uri), call, session)
    _supported(prompt, model, call, stream)
    prompt_tokens = answers.count_prompt_tokens(prompt)
    _fits(prompt, model, prompt_tokens)
    seed = Seed(session.seed.hashed(b"words", answers.conversation_key(prompt)))
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
        auth.permit_model(call.caller, prompt.model, model)
    return prompt if prompt.model == model.id else replace(prompt, model=model.id), model


def _included(model: Model, call: Call, session: Session) -> bool:
    if call.caller is None:
        return True
    models = session.world.organisations[call.caller.org_id].plan.models
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
