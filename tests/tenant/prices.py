"""What a call costs, computed with decimals: an oracle for the whole numbers of the package."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from aione_mock.tenant.catalogue import Model
from aione_mock.types import Usage


def compute_rmb(usage: Usage, model: Model) -> Decimal:
    """Return the cost of a call in RMB with 4 places, rounded half to even."""
    prices = model.prices
    total = (
        (usage.prompt - usage.cached) * prices.input
        + usage.cached * prices.cached_input
        + usage.completion * prices.output
    )
    return (total / 1_000_000).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
