"""The model lists of the data plane and of the console."""

from __future__ import annotations

from aione_mock.errors import APIError
from aione_mock.protocols import gemini
from aione_mock.server.auth import check_model_allowed
from aione_mock.server.handlers.owner import organisation
from aione_mock.server.sessions import Session
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Call, Json, Reply


def visible(call: Call, session: Session) -> list[Model]:
    """The models that the caller's plan and key include."""
    caller = call.caller
    models = [*session.catalogue.models]
    if caller is None:
        return models
    plan = session.tenants.organisations[caller.org_id].plan.models
    allowed = caller.models_allowed
    return [
        model
        for model in models
        if (plan is None or model.id in plan) and (not allowed or {model.id, *model.aliases} & set(allowed))
    ]


def _find(call: Call, session: Session, name: str) -> Model:
    model = session.catalogue.find(name)
    if model is None:
        raise APIError("model_not_found", f"Model '{name}' not found", fields={"param": "model"})
    if call.caller is not None:
        check_model_allowed(call.caller, name, model)
    return model


async def list_models(call: Call, session: Session) -> Reply:
    """`GET /v1/models`."""
    return Reply({"object": "list", "data": [_openai(model) for model in visible(call, session)]})


async def retrieve_model(call: Call, session: Session) -> Reply:
    """`GET /v1/models/{model}`; an alias gives the model that it stands for."""
    return Reply(_openai(_find(call, session, call.params["model"])))


def _openai(model: Model) -> Json:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_at,
        "owned_by": model.owner,
        "display_name": model.display_name,
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "protocols": [*model.protocols],
        "capabilities": [*model.abilities],
    }


async def list_gemini_models(call: Call, session: Session) -> Reply:
    """`GET /v1beta/models`, in pages."""
    models = [model for model in visible(call, session) if model.supports_protocol("gemini")]
    return Reply(gemini.render_model_page(models, call.params))


async def get_gemini_model(call: Call, session: Session) -> Reply:
    """`GET /v1beta/models/{model}`."""
    return Reply(gemini.render_model(_find(call, session, call.params["model"])))


async def list_gateway_models(call: Call, session: Session) -> Reply:
    """`GET /api/v1/gateway/models`: the plan's models, with prices."""
    included = session.tenants.billing[organisation(call, session).id].models()
    models = [model for model in session.catalogue.models if model.id in included]
    return Reply({"items": [_priced(model) for model in models], "total": len(models)})


def _priced(model: Model) -> Json:
    return {
        "id": model.id,
        "display_name": model.display_name,
        "provider": model.owner,
        "protocols": [*model.protocols],
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "input_price_rmb": f"{model.prices.input:.4f}",
        "cached_input_price_rmb": f"{model.prices.cached_input:.4f}",
        "output_price_rmb": f"{model.prices.output:.4f}",
        "capabilities": [*model.abilities],
    }
