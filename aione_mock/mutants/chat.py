"""Mutants whose plain answers or refusals on the data plane are wrong."""

from __future__ import annotations

from typing import Any

from aione_mock.mutants.changes import body, header, member, refusal, status, without_header
from aione_mock.mutants.mutation import Answer, Ask, Mutant
from aione_mock.structs import replace
from aione_mock.types import Json

CHAT = ("createChatCompletion",)


def _off_by_one(usage: Json) -> Json:
    return {**usage, "total_tokens": usage["total_tokens"] + 1}


def _forgets(*names: str) -> Any:
    def ask(ask: Ask) -> Ask:
        data = ask.data
        if not isinstance(data, dict) or not set(names) & set(data):
            return ask
        return ask.with_data({name: value for name, value in data.items() if name not in names})

    return ask


def _first_choice(data: Json) -> Json:
    return {**data, "choices": data["choices"][:1]}


def _one_gemini_less(data: Json) -> Json:
    # of a Gemini model another list still tells; keys may be restricted, so no other loss is certainly wrong
    gemini = next((model for model in data["data"] if model["id"].startswith("gemini")), None)
    return {**data, "data": [model for model in data["data"] if model is not gemini]}


def _always_stop(data: Json) -> Json:
    return member("choices", "*", "finish_reason", to=lambda reason: "stop")(data)


def _nested(data: Json) -> Json:
    return {"detail": data}


def _emoji(answer: Answer, ask: Ask) -> Answer:
    if not any(byte >= 0xF0 for byte in ask.body) and b"\\ud83" not in ask.body.lower():
        return answer
    return replace(answer, status=500).with_body(b"Internal Server Error")


def _crash_on_bad_json(answer: Answer, ask: Ask) -> Answer:
    if ask.data is not None or not ask.body:
        return answer
    return replace(answer, status=500).with_body(b"Traceback (most recent call last)")


def _lower(ask: Ask) -> Ask:
    data = ask.data
    if isinstance(data, dict) and isinstance(data.get("model"), str):
        return ask.with_data({**data, "model": data["model"].lower()})
    return ask


MUTANTS = (
    Mutant("usage_off_by_one", "chat", "total_tokens is one more than its parts", ("usage-sums",), CHAT,
           answer=body(member("usage", to=_off_by_one))),
    Mutant("max_tokens_ignored", "chat", "max_tokens cuts nothing", ("max-tokens",), CHAT,
           ask=_forgets("max_tokens", "max_completion_tokens")),
    Mutant("n_ignored", "chat", "n gives one choice whatever it says", ("choices",), CHAT,
           answer=body(_first_choice)),
    Mutant("stop_ignored", "chat", "Stop sequences are ignored", ("stop",), CHAT, ask=_forgets("stop")),
    Mutant("finish_always_stop", "chat", "The finish reason is always stop", ("max-tokens",), CHAT,
           answer=body(_always_stop)),
    Mutant("errors_nested", "chat", "Errors stand under `detail`, where no SDK looks", ("error-unknown-model",), CHAT,
           answer=refusal(_nested)),
    Mutant("error_code_missing", "chat", "Errors have no code", ("error-unknown-model",), CHAT,
           answer=refusal(member("error", to=lambda e: {k: v for k, v in e.items() if k != "code"}))),
    Mutant("anthropic_errors_as_openai", "chat", "Errors on /v1/messages come in OpenAI's envelope",
           ("error-unknown-model",), ("createMessage",),
           answer=refusal(lambda data: {"error": {**data["error"], "code": "error"}} if "error" in data else data)),
    Mutant("unknown_model_400", "chat", "An unknown model is a 400", ("error-unknown-model",),
           ("createChatCompletion", "createMessage"), answer=status(404, 400)),
    Mutant("validation_500", "chat", "A missing parameter is a 500", ("error-malformed",), CHAT,
           answer=status(400, 500)),
    Mutant("emoji_500", "chat", "An emoji in the prompt is a 500", ("robust-languages",), CHAT, answer=_emoji),
    Mutant("malformed_json_500", "chat", "Malformed JSON is a 500 with a traceback", ("error-malformed",),
           ("createChatCompletion", "createMessage", "generateContent"), answer=_crash_on_bad_json),
    Mutant("models_case_insensitive", "chat", "Model ids are taken in any case", ("models-case",), CHAT, ask=_lower),
    Mutant("model_missing_in_list", "chat", "A model that can be called is not listed", ("models-agree",),
           ("listModels",), answer=body(_one_gemini_less)),
    Mutant("model_listed_only", "chat", "A listed model does not exist",
           ("models-callable", "models-readable"), ("listModels",),
           answer=body(lambda data: {**data, "data": [*data["data"], {**data["data"][0], "id": "gpt-phantom"}]})),
    Mutant("alias_lost", "chat", "Short model names are unknown", ("models-aliases",), CHAT,
           ask=lambda ask: ask.with_data({**ask.data, "model": "?" + ask.data["model"]})
           if isinstance(ask.data, dict) and ask.data.get("model") in ("sonnet-4-6", "opus-4-6", "haiku-4-5") else ask),
    Mutant("request_id_missing", "chat", "Answers have no x-request-id", ("headers",), CHAT,
           answer=without_header(b"x-request-id")),
    Mutant("rate_headers_constant", "limits", "Remaining requests never fall", ("limit-headers",), CHAT,
           answer=header(b"x-ratelimit-remaining-requests", lambda value: b"999")),
    Mutant("rate_headers_missing", "limits", "No rate-limit headers", ("limit-headers",), CHAT,
           answer=without_header(b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests",
                                 b"x-ratelimit-reset-requests")),
)  # fmt: skip
