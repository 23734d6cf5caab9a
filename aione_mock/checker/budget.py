"""The limits on paid calls: an amount is reserved before a call and corrected by its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal

import orjson

from aione_mock.checker.errors import BudgetSpent
from aione_mock.checker.exchange import HttpExchange, HttpRequest
from aione_mock.types import Json

_SMALLEST_AMOUNT = Decimal("0.0001")
_MILLION = Decimal(1_000_000)
_MAX_PROMPT_BYTES = 400_000
"""Longer bodies are meant to be rejected, so they cost no more."""
_MAX_COMPLETION_TOKENS = 1_000_000
"""A higher limit is rejected, so it costs nothing."""
_DEFAULT_COMPLETION_TOKENS = 400
"""Assumed for a request without a limit."""
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_PROMPT_COUNTS = (
    ("prompt_tokens",),
    ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
    ("promptTokenCount", "toolUsePromptTokenCount"),
)
_COMPLETION_COUNTS = (("completion_tokens",), ("output_tokens",), ("candidatesTokenCount", "thoughtsTokenCount"))
"""Members of each protocol that add up to the tokens that are billed."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """RMB per million tokens."""

    prompt: Decimal
    completion: Decimal
    cached: Decimal | None = None

    def compute_cost(self, prompt: int, completion: int) -> Decimal:
        """Return the RMB for a number of tokens, without discounts."""
        return (self.prompt * prompt + self.completion * completion) / _MILLION

    @classmethod
    def from_row(cls, row: Mapping[str, Json]) -> ModelPrice | None:
        """Read the price from a row of the model list; None if it has no readable price."""
        try:
            cached = row.get("cached_input_price_rmb")
            prompt, completion = Decimal(str(row["input_price_rmb"])), Decimal(str(row["output_price_rmb"]))
            price = cls(prompt, completion, None if cached is None else Decimal(str(cached)))
        except (KeyError, ArithmeticError):
            return None
        parts = (price.prompt, price.completion, price.cached or Decimal(0))
        return price if all(part.is_finite() and part.copy_abs() < _MILLION for part in parts) else None


_IMAGE_TOKENS = 3000
"""Tokens that an image may take, whatever the limit of the request."""
UNKNOWN_PRICE = ModelPrice(Decimal(40), Decimal(200))
"""Assumed for a model without a known price: that of an expensive one."""


@dataclass(slots=True)
class Budget:
    """The limits of a run and what is used of them."""

    max_calls: int = 250
    limit: Decimal = Decimal(5)
    """RMB."""
    prices: dict[str, ModelPrice] = field(default_factory=dict)
    image_models: set[str] = field(default_factory=set)
    """Models that generate images. They are not called if their price is not known."""
    calls: int = 0
    spent: Decimal = Decimal(0)

    def price(self, model: str | None) -> ModelPrice:
        """Return the price of a model."""
        return self.prices.get(model or "", UNKNOWN_PRICE)

    def reserve(self, request: HttpRequest) -> Decimal:
        """Take a call and the most that it can cost out of the budget; return the amount. Raises BudgetSpent."""
        body = request.body or b""
        # a token has at least two bytes
        prompt = min(len(body), _MAX_PROMPT_BYTES) // 2 + 1
        model = read_requested_model(request) or ""
        completion = _read_completion_limit(_parse_json(body))
        if model in self.image_models:
            completion = max(completion, _IMAGE_TOKENS)
            if model not in self.prices:
                raise BudgetSpent(f"{model} generates images, and its price is not known")
        amount = self.price(model).compute_cost(prompt, completion)
        if self.calls >= self.max_calls:
            raise BudgetSpent(f"the budget of {self.max_calls} paid calls is used up")
        if self.spent + amount > self.limit:
            raise BudgetSpent(f"the next call could exceed the limit of {format_money(self.limit)} RMB")
        self.calls += 1
        self.spent += amount
        return amount

    def settle(self, reserved: Decimal, exchange: HttpExchange) -> None:
        """Replace a reserved amount by what the call cost; a rejected call costs nothing and does not count."""
        if 400 <= exchange.status < 600:
            self.calls -= 1
            self.spent -= reserved
        elif exchange.status and not exchange.failure and (used := _read_used_tokens(exchange)):
            cost = self.price(read_requested_model(exchange.request)).compute_cost(*used)
            # each call may be billed rounded up
            self.spent += cost.quantize(_SMALLEST_AMOUNT, rounding=ROUND_UP) - reserved


def format_money(amount: Decimal) -> str:
    """Return RMB with four decimal places, rounded up."""
    return str(amount.quantize(_SMALLEST_AMOUNT, rounding=ROUND_UP))


def read_requested_model(request: HttpRequest) -> str | None:
    """Return the model that a request names in its body or path."""
    body = _parse_json(request.body)
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        return str(body["model"])
    _, separator, rest = request.path.partition("/models/")
    return rest.partition(":")[0] if separator else None


def _parse_json(body: bytes | None) -> Json:
    try:
        return orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None


def _read_completion_limit(body: Json) -> int:
    """Return the most tokens that the answer to a request body may have."""
    if not isinstance(body, dict):
        return _DEFAULT_COMPLETION_TOKENS
    holders = [holder for holder in (body, body.get("generationConfig")) if isinstance(holder, dict)]
    limits = [holder[name] for holder in holders for name in _TOKEN_LIMITS if isinstance(holder.get(name), int)]
    limit = next((n for n in limits if 0 < n <= _MAX_COMPLETION_TOKENS), _DEFAULT_COMPLETION_TOKENS)
    choices = body.get("n", 1)
    return limit * (choices if isinstance(choices, int) and 0 < choices < 100 else 1)


def _read_used_tokens(exchange: HttpExchange) -> tuple[int, int] | None:
    """Return the prompt and completion tokens that an answer reports; None if it reports none."""
    bodies = [event.data.encode() for event in exchange.events] if exchange.is_event_stream else [exchange.body]
    usages = list(filter(None, (_find_usage(_parse_json(body)) for body in bodies)))
    if not usages:
        return None
    # the first event of a stream may have the prompt alone, the last one the completion
    return _find_max_count(usages, _PROMPT_COUNTS), _find_max_count(usages, _COMPLETION_COUNTS)


def _find_usage(data: Json) -> dict[str, Json] | None:
    if isinstance(data, list):
        data = data[-1] if data else None
    for member in ("message", "response"):  # of Anthropic's first event, and of the last one of a response
        if isinstance(data, dict) and isinstance(data.get(member), dict):
            data = data[member]
    usage = (data.get("usage") or data.get("usageMetadata")) if isinstance(data, dict) else None
    return usage if isinstance(usage, dict) else None


def _find_max_count(usages: list[dict[str, Json]], groups: tuple[tuple[str, ...], ...]) -> int:
    sums = (sum(usage[n] for n in names if isinstance(usage.get(n), int)) for usage in usages for names in groups)
    return max(sums, default=0)
