"""What a call to a model leaves on the ledger: one entry, made when its answer is ready.

An answer counts with its usage, a stream too, and in full: what a fault cuts off, or a client does not wait for, was
said all the same. An answer of 5xx counts as a failed call without tokens or cost. What is refused with 4xx never
reached a model and is in no figure.
"""

from __future__ import annotations

from aione_mock.exchange import Call, Reply, StreamReply, Transmission, Usage
from aione_mock.sessions import Session
from aione_mock.world.catalogue import Model

_NOTHING = Usage()


async def book(call: Call, session: Session, reply: Reply | StreamReply, sent: Transmission) -> None:
    """Book a validated call; a no-op for operations that call no model. Takes a few microseconds."""
    caller, failed = call.caller, reply.status >= 500
    if caller is None or not call.operation.paid or 400 <= reply.status < 500:
        return
    name = reply.model or _asked(call)
    model = session.catalogue.find(name)
    if model is None and failed:
        return
    usage = reply.usage or _NOTHING
    took, ledger = _took(model, usage, sent), session.world.ledgers[caller.org_id]
    await ledger.record(session.store, call.at, caller, name, usage, not failed, took, call.request_id, reply.status)


def _asked(call: Call) -> str:
    """The model that was asked for: in the path, or in the body."""
    return str(call.params.get("model") or call.data["model"])


def _took(model: Model | None, usage: Usage, sent: Transmission) -> float:
    """Milliseconds to the end of the answer: those of the model, or those of the wire if they are more.

    The time that passes on the machine is not asked: figures must be the same in every run.
    """
    wire = sent.sends[-1][0] if sent.sends else 0.0
    if model is None:
        return 1000 * wire
    return 1000 * max(wire, model.pace.ttft + usage.completion / model.pace.tokens_per_second)
