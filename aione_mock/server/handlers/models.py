"""The model lists of the data plane and of the console."""

from __future__ import annotations

from aione_mock.protocols import gemini
from aione_mock.server.auth import check_model_allowed
from aione_mock.server.model_names import list_offered_models, make_model_not_found_error
from aione_mock.server.sessions import Session
from aione_mock.tenant.catalogue import Model
from aione_mock.types import Call, Json, Reply


async def list_models(call: Call, session: Session) -> Reply:
    """Answer `GET /v1/models`."""
    return Reply({"object": "list", "data": [_render_model(model) for model in _list_allowed(call, session)]})


async def retrieve_model(call: Call, session: Session) -> Reply:
    """Answer `GET /v1/models/{model}`; an alias returns the model that it stands for."""
    return Reply(_render_model(_find_model(call, session)))


async def list_gemini_models(call: Call, session: Session) -> Reply:
    """Answer `GET /v1beta/models`, in pages."""
    models = [model for model in _list_allowed(call, session) if model.supports_protocol("gemini")]
    return Reply(gemini.render_model_page(models, call.params))


async def get_gemini_model(call: Call, session: Session) -> Reply:
    """Answer `GET /v1beta/models/{model}`."""
    return Reply(gemini.render_model(_find_model(call, session)))


async def list_gateway_models(call: Call, session: Session) -> Reply:
    """Answer `GET /api/v1/gateway/models`: the plan's models, with prices."""
    plan = session.tenants.find_organisation(call.caller).plan
    included = [m for m in list_offered_models(session) if plan.models is None or m.id in plan.models]
    models = [_render_prices(model) for model in included]
    return Reply({"items": models, "total": len(models)})


def _list_allowed(call: Call, session: Session) -> list[Model]:
    """List the models that the caller's plan and key include."""
    caller = call.caller
    if caller is None:
        return [*list_offered_models(session)]
    included, allowed = session.tenants.organisations[caller.org_id].plan.models, set(caller.models_allowed or ())
    return [
        model
        for model in list_offered_models(session)
        if (included is None or model.id in included) and (not allowed or {model.id, *model.aliases} & allowed)
    ]


def _find_model(call: Call, session: Session) -> Model:
    """Return the model of the path. Raises APIError if it is unknown or the key may not use it."""
    name: str = call.params["model"]
    model = session.catalogue.find(name)
    if model is None:
        raise make_model_not_found_error(name, session.catalogue)
    if call.caller is not None:
        check_model_allowed(call.caller, name, model)
    return model


def _render_model(model: Model) -> Json:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_at,
        "owned_by": model.owner,
        "display_name": model.display_name,
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "protocols": model.protocols,
        "capabilities": model.abilities,
    }


def _render_prices(model: Model) -> Json:
    return {
        "id": model.id,
        "display_name": model.display_name,
        "provider": model.owner,
        "protocols": model.protocols,
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "input_price_rmb": f"{model.prices.input:.4f}",
        "cached_input_price_rmb": f"{model.prices.cached_input:.4f}",
        "output_price_rmb": f"{model.prices.output:.4f}",
        "capabilities": model.abilities,
    }
