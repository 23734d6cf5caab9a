"""Mutants with wrong plain answers or errors on the data plane."""

from __future__ import annotations

from functools import partial

from aione_mock.mutants.changes import (
    change_body,
    change_error,
    change_header,
    change_member,
    change_status,
    drop_member,
    remove_headers,
    remove_members,
)
from aione_mock.mutants.mutant import Mutant, MutantRequest, MutantResponse
from aione_mock.types import Json

_CHAT = ("createChatCompletion",)
_ALIASES = ("sonnet-4-6", "opus-4-6", "haiku-4-5")
_FOUR_BYTE_CHARACTER = 0xF0
"""First byte of a character with four bytes in UTF-8, such as an emoji."""


def _add_one_token(usage: Json) -> Json:
    return {**usage, "total_tokens": usage["total_tokens"] + 1}


def _keep_first_choice(data: Json) -> Json:
    return {**data, "choices": data["choices"][:1]}


def _remove_gemini_model(data: Json) -> Json:
    # Gemini's own list still has it; keys may be restricted, so no other loss is certainly wrong
    gemini = next((model for model in data["data"] if model["id"].startswith("gemini")), None)
    return {**data, "data": [model for model in data["data"] if model is not gemini]}


def _add_phantom_model(data: Json) -> Json:
    return {**data, "data": [*data["data"], {**data["data"][0], "id": "gpt-phantom"}]}


def _use_openai_envelope(data: Json) -> Json:
    return {"error": {**data["error"], "code": "error"}} if "error" in data else data


def _fail_on_emoji(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    if any(byte >= _FOUR_BYTE_CHARACTER for byte in request.body) or b"\\ud83" in request.body.lower():
        return response.with_body(b"Internal Server Error", status=500)
    return response


def _fail_on_malformed_json(response: MutantResponse, request: MutantRequest) -> MutantResponse:
    if request.data is None and request.body:
        return response.with_body(b"Traceback (most recent call last)", status=500)
    return response


def _lower_model(request: MutantRequest) -> MutantRequest:
    data = request.data
    if isinstance(data, dict) and isinstance(data.get("model"), str):
        return request.with_data({**data, "model": data["model"].lower()})
    return request


def _hide_alias(request: MutantRequest) -> MutantRequest:
    data = request.data
    if isinstance(data, dict) and data.get("model") in _ALIASES:
        return request.with_data({**data, "model": f"?{data['model']}"})
    return request


_mutant = partial(Mutant, area="chat")
_limit_mutant = partial(Mutant, area="limits", operations=_CHAT)

MUTANTS = (
    _mutant("usage_off_by_one", "total_tokens is one more than its parts", ("usage-sums",), _CHAT,
            response=change_body(change_member("usage", to=_add_one_token))),
    _mutant("max_tokens_ignored", "max_tokens is ignored", ("max-tokens",), _CHAT,
            request=remove_members("max_tokens", "max_completion_tokens")),
    _mutant("n_ignored", "n is ignored", ("choices",), _CHAT, response=change_body(_keep_first_choice)),
    _mutant("stop_ignored", "Stop sequences are ignored", ("stop",), _CHAT, request=remove_members("stop")),
    _mutant("finish_always_stop", "The finish reason is always stop", ("max-tokens",), _CHAT,
            response=change_body(change_member("choices", "*", "finish_reason", to=lambda reason: "stop"))),
    _mutant("errors_nested", "Errors are nested under `detail`", ("error-unknown-model",), _CHAT,
            response=change_error(lambda data: {"detail": data})),
    _mutant("error_code_missing", "Errors have no code", ("error-unknown-model",), _CHAT,
            response=change_error(change_member("error", to=drop_member("code")))),
    _mutant("anthropic_errors_as_openai", "Errors on /v1/messages have OpenAI's envelope", ("error-unknown-model",),
            ("createMessage",), response=change_error(_use_openai_envelope)),
    _mutant("unknown_model_400", "An unknown model is a 400", ("error-unknown-model",), (*_CHAT, "createMessage"),
            response=change_status(404, 400)),
    _mutant("validation_500", "A missing parameter is a 500", ("error-malformed",), _CHAT,
            response=change_status(400, 500)),
    _mutant("emoji_500", "An emoji in the prompt is a 500", ("robust-languages",), _CHAT, response=_fail_on_emoji),
    _mutant("malformed_json_500", "Malformed JSON is a 500 with a traceback", ("error-malformed",),
            (*_CHAT, "createMessage", "generateContent"), response=_fail_on_malformed_json),
    _mutant("models_case_insensitive", "Model ids are not case-sensitive", ("models-case",), _CHAT,
            request=_lower_model),
    _mutant("model_missing_in_list", "A callable model is not listed", ("models-agree",), ("listModels",),
            response=change_body(_remove_gemini_model)),
    _mutant("model_listed_only", "A listed model does not exist", ("models-callable", "models-readable"),
            ("listModels",), response=change_body(_add_phantom_model)),
    _mutant("alias_lost", "Short model names are unknown", ("models-aliases",), _CHAT, request=_hide_alias),
    _mutant("request_id_missing", "Answers have no x-request-id", ("headers",), _CHAT,
            response=remove_headers(b"x-request-id")),
    _limit_mutant("rate_headers_constant", "The remaining requests never change", ("limit-headers",),
                  response=change_header(b"x-ratelimit-remaining-requests", lambda value: b"999")),
    _limit_mutant("rate_headers_missing", "Rate limit headers are missing", ("limit-headers",),
                  response=remove_headers(b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests",
                                          b"x-ratelimit-reset-requests")),
)  # fmt: skip
