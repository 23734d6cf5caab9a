"""Whose keys, figures and bills a call is about."""

from __future__ import annotations

from aione_mock.server.sessions import Session
from aione_mock.tenant.organisation import Organisation
from aione_mock.types import Call


def organisation(call: Call, session: Session) -> Organisation:
    """The caller's organisation; the main one where an overlay lets anybody in."""
    organisations = session.tenants.organisations
    return organisations[call.caller.org_id] if call.caller else next(iter(organisations.values()))
