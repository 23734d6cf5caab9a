"""Record calls to models on the ledger: one entry for each call, when its answer is ready.

Answers and streams count with their whole usage, even if a fault cuts them off or the client disconnects. A 5xx counts
as a failed call without tokens or cost. A 4xx never reached a model and does not count.
"""

from __future__ import annotations

from aione_mock.server.sessions import Session
from aione_mock.tenant.live_usage import record_call
from aione_mock.types import Call, Reply, Response, StreamReply, Usage

_NOTHING = Usage()


def record_usage(call: Call, session: Session, reply: Reply | StreamReply, sent: Response) -> None:
    """Record a validated call of an operation that calls a model."""
    caller, failed = call.caller, reply.status >= 500
    if caller is None or not call.operation.paid or 400 <= reply.status < 500:
        return
    name = reply.model or _asked(call)
    model = session.catalogue.names.get(name)
    if model is None and failed:
        return
    usage, took = reply.usage or _NOTHING, sent.sends[-1][0] if sent.sends else 0.0
    if model is not None:
        # the time of the model or of the paced response, whichever is longer; elapsed time of the machine is ignored,
        # so that figures are the same in every run
        pace = model.pace
        took = max(took, pace.ttft + usage.completion / pace.tokens_per_second)
    ledger = session.tenants.ledgers[caller.org_id]
    record = ledger.price_call(call.at, caller, name, usage, not failed, 1000 * took, call.request_id, reply.status)
    record_call(session.store, caller.org_id, record)


def _asked(call: Call) -> str:
    """Return the model that the path or the body names."""
    return str(call.params.get("model") or call.data["model"])
