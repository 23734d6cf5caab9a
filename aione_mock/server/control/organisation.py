"""Answer questions about the organisations of a session: what their keys use now, and what ModelRouter says of them."""

from __future__ import annotations

from urllib.parse import urlencode

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.contract import Operation
from aione_mock.errors import APIError, did_you_mean
from aione_mock.protocols import acs3_signature
from aione_mock.recorder.json_style import read_json_or_text
from aione_mock.server import rate_limits
from aione_mock.server.journal import Exchange
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.request import Request
from aione_mock.server.sessions import Session
from aione_mock.tenant.api_keys import KeyRecord, to_caller
from aione_mock.tenant.organisation import AccessKeyRecord
from aione_mock.tenant.organisation_file import OrganisationSpec
from aione_mock.types import Call, Json, Reply

_SCHEME = "acs3"
"""The security scheme of signed requests."""


class OrganisationControl:
    """Handlers about organisations."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def list_limits(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/limits`."""
        items = []
        for key_id in rate_limits.list_used_keys(session):
            record = await session.tenants.keys.get(session.store, key_id)
            if record is not None and record.org_id in session.tenants.organisations:
                items.append(_describe_limits(record, session))
        return Reply({"items": items, "total": len(items)})

    async def send_signed_call(self, call: Call, session: Session) -> Reply:
        """Answer `POST /_mock/signed-calls`: send a request through the pipeline as an access key signs it."""
        operation = self._find_operation(call.data["operation"])
        organisation = self._find_organisation(call.data.get("organisation"))
        key = _choose_access_key(organisation, operation, session)
        request = await self._sign(operation, urlencode(call.data.get("query", {})), key, call, session)
        exchange = Exchange(request, session)
        response = await self._pipeline.respond(exchange)
        self._pipeline.state.release(exchange)
        body = b"".join([data for _, data in response.sends])
        return Reply({"access_key": key.id, "status": response.status, "body": read_json_or_text(body)})

    async def _sign(
        self, operation: Operation, query: str, key: AccessKeyRecord, call: Call, session: Session
    ) -> Request:
        version = str(self._pipeline.contract.documents[operation.document]["info"]["version"])
        # dates are judged by real time, and each nonce is good for one request
        nonce = f"control-{SYSTEM_CLOCK.timestamp()}-{await session.store.increment('signed-calls')}"
        headers = acs3_signature.make_required_headers(
            operation.id, version, call.header("host") or "localhost", b"", SYSTEM_CLOCK.now(), nonce
        )
        signature = acs3_signature.sign_request(
            operation.method, operation.path, query, headers, b"", key.id, key.secret
        )
        # what the page shows is no call of an application
        pairs = (*headers, ("authorization", signature), ("x-mock-journal", "off"))
        scenario = call.header("x-mock-scenario")
        if scenario is not None:
            pairs = (*pairs, ("x-mock-scenario", scenario))
        return Request(
            operation.method,
            operation.path.encode(),
            query.encode(),
            tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs),
            b"",
            call.client,
        )

    def _find_operation(self, name: str) -> Operation:
        operations = self._pipeline.contract.operations
        signed = {each.id: each for each in operations.values() if (_SCHEME,) in each.security}
        if name not in signed:
            known = did_you_mean(name, signed) or f"; known: {', '.join(signed) or 'none'}"
            raise APIError("invalid_request", f"no signed operation '{name[:80]}'{known}")
        return signed[name]

    def _find_organisation(self, label: str | None) -> OrganisationSpec:
        found = {spec.label: spec for spec in self._pipeline.sessions.world.organisations.organisations}
        name = next(iter(found)) if label is None else label
        if name not in found:
            raise APIError("not_found", f"no organisation '{name[:80]}'{did_you_mean(name, found)}")
        return found[name]


def _choose_access_key(organisation: OrganisationSpec, operation: Operation, session: Session) -> AccessKeyRecord:
    for key in [session.tenants.access_keys.get(pair.id) for pair in organisation.access_keys]:
        if key is not None and key.status == "active" and (key.actions is None or operation.ram_action in key.actions):
            return key
    message = f"'{organisation.label}' has no active access key for {operation.id}; add one to its access_keys."
    raise APIError("conflict", message)


def _describe_limits(record: KeyRecord, session: Session) -> Json:
    plan = session.tenants.organisations[record.org_id].plan
    window = rate_limits.read_window(to_caller(record), session.clock.timestamp(), session)
    requests, tokens = (0, 0) if window is None else window.totals
    return {
        "key": record.id,
        "requests_per_minute": {"used": requests, "most": record.rpm_limit or plan.rpm_limit},
        "tokens_per_minute": {"used": tokens, "most": record.tpm_limit or plan.tpm_limit},
        "concurrent_calls": {
            "used": session.in_flight.get(record.id, 0),
            "most": record.concurrency_limit or plan.concurrency_limit,
        },
    }
