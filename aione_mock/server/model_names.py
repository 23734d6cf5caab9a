"""Find the model of a name: one of the catalogue, or one that stands for a name outside it."""

from __future__ import annotations

import difflib

from aione_mock.errors import APIError
from aione_mock.server import auth
from aione_mock.server.sessions import Session
from aione_mock.tenant.catalogue import MAX_NAME_CHARS, Model, ModelCatalogue
from aione_mock.types import Call

_USED = "models/used"
"""Place in a session's store of the names outside the catalogue that were used."""
_MAX_USED = 1000
_SUGGESTIONS = 3


def find_called_model(name: str, call: Call, session: Session) -> Model:
    """Return the model that a call names.

    Raises APIError for a model that is unknown, that the plan does not include or that the key may not call.
    """
    caller, model = call.caller, session.catalogue.names.get(name)
    if model is None:
        model = find_other_model(name, session, scripted=call.script is not None)
    if caller is not None:
        models = session.tenants.organisations[caller.org_id].plan.models
        if models is not None and model.id not in models and call.script is None:
            raise make_model_not_found_error(name, session.catalogue)
        if caller.models_allowed:
            auth.check_model_allowed(caller, name, model)
    return model


def find_other_model(name: str, session: Session, *, scripted: bool = False) -> Model:
    """Return the model for a name outside the catalogue, and list it from now on.

    A scripted reply is played whatever the model. Raises APIError `model_not_found` where the catalogue takes no other
    names.
    """
    catalogue = session.catalogue
    other = catalogue.find(name)
    if other is None and not scripted:
        raise make_model_not_found_error(name, catalogue)
    if other is not None:
        used = session.store.read(_USED) or ()
        if name not in used and len(used) < _MAX_USED:
            session.store.replace(_USED, [*used, name])
    return other or catalogue.make_other(name)


def list_offered_models(session: Session) -> tuple[Model, ...]:
    """List the models of the catalogue, and those outside it that were used."""
    catalogue = session.catalogue
    if catalogue.any is None:
        return catalogue.models
    others = [name for name in session.store.read(_USED) or () if name not in catalogue.names]
    return (*catalogue.models, *[catalogue.make_other(name) for name in others])


def make_model_not_found_error(name: str, catalogue: ModelCatalogue) -> APIError:
    """Return the documented refusal of a model, with the nearest names and how to allow more."""
    # aliases are not listed, so that nobody would find them
    listed = [model.id for model in catalogue.models]
    near = difflib.get_close_matches(name[:MAX_NAME_CHARS], listed, n=_SUGGESTIONS, cutoff=0.4)
    nearest = f" Nearest: {', '.join(near)}." if near else ""
    remedy = "Start the mock with `--models any`, or name it in `--models FILE`, to have it."
    return APIError("model_not_found", f"Model '{name}' not found.{nearest} {remedy}", fields={"param": "model"})
