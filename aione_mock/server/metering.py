"""Record calls to models on the ledger: one entry for each call, when its answer is ready.

Answers and streams count with their whole usage, even if a fault cuts them off or the client disconnects. A 5xx counts
as a failed call without tokens or cost. A 4xx never reached a model and does not count.
"""

from __future__ import annotations

from aione_mock.server.sessions import Session
from aione_mock.tenant.live_usage import TICKS, CallFields, add_key_spending, record_call
from aione_mock.types import Call, Reply, Response, StreamReply, Usage

_NOTHING = Usage()


def record_usage(call: Call, session: Session, reply: Reply | StreamReply, sent: Response) -> int | None:
    """Record a validated call of an operation that calls a model.

    Return its cost in ticks of 0.0001 RMB, None if it was not recorded.
    """
    record = price_usage(call, session, reply, sent)
    if record is None or (caller := call.caller) is None:
        return None
    record_call(session.store, caller.org_id, record)
    if caller.balance_ticks is not None and caller.key_id is not None:
        add_key_spending(session.store, caller.key_id, record)
    return record[TICKS]


def price_usage(call: Call, session: Session, reply: Reply | StreamReply, sent: Response) -> CallFields | None:
    """Return a validated call of an operation that calls a model as the ledger records it, None if it does not."""
    caller, status = call.caller, reply.status
    if caller is None or not call.operation.paid or 400 <= status < 500:
        return None
    name, ok = reply.model or _read_requested_model(call), status < 500
    ledger = session.tenants.ledgers.get(caller.org_id)
    if ledger is None:  # the organisation has left the configuration file meanwhile
        return None
    rate = ledger.find_rate(name)
    if rate is None and not ok:
        return None
    usage, took = reply.usage or _NOTHING, sent.sends[-1][0] if sent.sends else 0.0
    if rate is not None:
        # the time of the model or of the paced response, whichever is longer; elapsed time of the machine is ignored,
        # so that figures are the same in every run
        least = rate.ttft + usage.completion / rate.tokens_per_second
        took = least if least > took else took
    return ledger.price_call(call.at, caller, name, usage, ok, 1000 * took, call.request_id, status)


def _read_requested_model(call: Call) -> str:
    """Return the model that the path or the body names."""
    data = call.data if isinstance(call.data, dict) else {}
    return str(call.params.get("model") or data.get("model") or "")
