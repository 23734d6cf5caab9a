"""Read the catalogue of models: what each can do and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from aione_mock.settings import Money, PositiveInt, Text, YamlModel, fixture_path, load_yaml_model

_TOKENS_PER_PRICE = 1_000_000


PositiveFloat = Annotated[float, Field(strict=True, gt=0, lt=1e6)]
Price = Annotated[Money, Field(ge=0)]
"""RMB per million tokens."""
TickPrices = tuple[int, int, int]
"""Input, cached input and output: ticks (0.0001 RMB) per million tokens."""


class ModelPrices(YamlModel):
    """The prices of a model. Tokens written to a prompt cache cost what other input does."""

    input: Price
    cached_input: Price
    output: Price

    def to_ticks(self) -> TickPrices:
        """Return the prices as whole numbers of ticks."""
        return rmb_to_ticks(self.input), rmb_to_ticks(self.cached_input), rmb_to_ticks(self.output)


class ModelPace(YamlModel):
    """How fast a model streams under the profile `realistic`."""

    ttft: PositiveFloat = 1.0
    """Seconds until the first token."""
    tokens_per_second: PositiveFloat = 60.0


class Model(YamlModel):
    """One model of the catalogue."""

    id: Text
    display_name: Text
    owner: Text
    created: Annotated[date, Field(strict=True)]
    """The day of its release."""
    context_length: PositiveInt
    """Tokens that prompt and answer may have together."""
    max_output_tokens: PositiveInt
    protocols: tuple[Literal["openai", "anthropic", "gemini"], ...]
    """Protocols by which it may be called."""
    abilities: tuple[Literal["tools", "vision", "image_output", "reasoning"], ...]
    """Its abilities, as model lists name them."""
    prices: ModelPrices
    aliases: tuple[Text, ...] = ()
    """Other names by which it may be called."""
    pace: ModelPace = ModelPace.model_construct()
    image_size: Literal["1K", "2K", "4K"] = "1K"
    """Size of its images when a request names none."""
    streaming: Annotated[bool, Field(strict=True)] = True

    @property
    def created_at(self) -> int:
        """Unix seconds at midnight UTC of the day of its release."""
        return int(datetime(self.created.year, self.created.month, self.created.day, tzinfo=UTC).timestamp())

    def has_ability(self, ability: str) -> bool:
        """Return whether the model has an ability such as `tools`."""
        return ability in self.abilities

    def supports_protocol(self, protocol: str) -> bool:
        """Return whether the model may be called by a protocol such as `gemini`."""
        return protocol in self.protocols


class ModelCatalogue(YamlModel):
    """All models, in the order in which lists show them."""

    models: Annotated[tuple[Model, ...], Field(min_length=1)]

    @classmethod
    def load(cls, path: Path | None = None) -> ModelCatalogue:
        """Read a catalogue file, by default the bundled one. Raises ConfigError."""
        return load_yaml_model(path or fixture_path("models.yaml"), cls, "catalogue")

    @cached_property
    def names(self) -> Mapping[str, Model]:
        """Every id and alias, to its model."""
        return {name: model for model in self.models for name in (model.id, *model.aliases)}

    @model_validator(mode="after")
    def _check_names(self) -> ModelCatalogue:
        owners: dict[str, Model] = {}
        for model in self.models:
            for name in (model.id, *model.aliases):
                if owners.setdefault(name, model) is not model:
                    raise ValueError(f"the name '{name}' belongs to both {owners[name].id} and {model.id}; rename one")
        return self

    def find(self, name: str) -> Model | None:
        """Return the model with this id or alias; names are case-sensitive."""
        return self.names.get(name)


def compute_cost(prices: TickPrices, prompt: int, cached: int, completion: int) -> int:
    """Return price times tokens in ticks, rounded half to even. `cached` tokens are part of `prompt`."""
    input_price, cached_price, output_price = prices
    total = (prompt - cached) * input_price + cached * cached_price + completion * output_price
    ticks, rest = divmod(total, _TOKENS_PER_PRICE)
    return ticks + (2 * rest > _TOKENS_PER_PRICE or (2 * rest == _TOKENS_PER_PRICE and ticks % 2))


def rmb_to_ticks(amount: Decimal) -> int:
    """Return an amount of RMB, which has at most 4 decimal places, in ticks of 0.0001 RMB."""
    return int(amount.scaleb(4))


def ticks_to_rmb(ticks: int) -> Decimal:
    """Return an amount in RMB with 4 decimal places."""
    return Decimal(ticks).scaleb(-4)
