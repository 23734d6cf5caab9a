"""Money that a run may spend: counted before a paid call is sent, corrected when its answer is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal

from aione_mock.types import Json

MILLION = Decimal(1_000_000)
_LONGEST = 400_000
"""Bytes; only bodies that are meant to be refused are longer."""
_CENT = Decimal("0.0001")


class BudgetSpent(Exception):
    """The next paid call would go over the budget; `str()` says which limit."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """RMB per million tokens."""

    prompt: Decimal
    completion: Decimal
    cached: Decimal | None = None

    def cost(self, prompt: int, completion: int) -> Decimal:
        """RMB for so many tokens, without any discount."""
        return (self.prompt * prompt + self.completion * completion) / MILLION

    @classmethod
    def of(cls, row: Mapping[str, Json]) -> ModelPrice | None:
        """The price in a row of the model list; None where it has none that can be read."""
        try:
            cached = row.get("cached_input_price_rmb")
            prompt, answer = Decimal(str(row["input_price_rmb"])), Decimal(str(row["output_price_rmb"]))
            return cls(prompt, answer, None if cached is None else Decimal(str(cached)))
        except (KeyError, ArithmeticError):
            return None


UNKNOWN = ModelPrice(Decimal(40), Decimal(200))
"""For a model whose price is not known: that of a dear one."""


@dataclass(slots=True)
class Budget:
    """Limits of a run and what of them is used."""

    max_calls: int = 250
    limit: Decimal = Decimal(5)
    """RMB."""
    prices: dict[str, ModelPrice] = field(default_factory=dict)
    calls: int = 0
    spent: Decimal = Decimal(0)

    def price(self, model: str | None) -> ModelPrice:
        """The price of a model; a dear one's where it is not known."""
        return self.prices.get(model or "", UNKNOWN)

    def estimate(self, model: str | None, body: bytes, answer_tokens: int) -> Decimal:
        """RMB that a call may cost at most; a token of a prompt is taken for two bytes, as far as a context goes."""
        return self.price(model).cost(min(len(body), _LONGEST) // 2 + 1, answer_tokens)

    def reserve(self, amount: Decimal) -> None:
        """Take one call and `amount` out of the budget. Raises BudgetSpent when that is too much."""
        if self.calls >= self.max_calls:
            raise BudgetSpent(f"the budget of {self.max_calls} paid calls is used up")
        if self.spent + amount > self.limit:
            raise BudgetSpent(f"the next call could exceed the limit of {money(self.limit)} RMB")
        self.calls += 1
        self.spent += amount

    def settle(self, reserved: Decimal, actual: Decimal | None) -> None:
        """Put right what was reserved: `actual` is None for a call that was refused and so cost nothing."""
        self.spent += (actual or Decimal(0)) - reserved
        if actual is None:
            self.calls -= 1


def money(amount: Decimal) -> str:
    """RMB with four places, rounded up."""
    return str(amount.quantize(_CENT, rounding=ROUND_UP))
