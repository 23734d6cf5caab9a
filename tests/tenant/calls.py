"""Calls to models: record them on a ledger, and compute their price with decimals as an oracle."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from aione_mock.store import MemoryStore
from aione_mock.tenant.catalogue import Model
from aione_mock.tenant.ledger import Ledger
from aione_mock.tenant.live_usage import record_call
from aione_mock.types import Caller, Usage


async def record(
    ledger: Ledger,
    store: MemoryStore,
    at: float,
    caller: Caller,
    model: str,
    usage: Usage,
    ok: bool = True,
    latency_ms: float = 5,
    request_id: str = "req-1",
) -> None:
    """Record a call that a model answered with 200, or with 502 unless `ok`."""
    status = 200 if ok else 502
    record_call(store, ledger.org_id, ledger.price_call(at, caller, model, usage, ok, latency_ms, request_id, status))


def compute_rmb(usage: Usage, model: Model) -> Decimal:
    """Return the cost of a call in RMB with 4 places, rounded half to even."""
    prices = model.prices
    total = (
        (usage.prompt - usage.cached) * prices.input
        + usage.cached * prices.cached_input
        + usage.completion * prices.output
    )
    return (total / 1_000_000).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
