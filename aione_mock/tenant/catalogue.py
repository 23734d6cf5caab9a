"""Read the catalogue of models: what each can do and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from aione_mock.settings import locate_fixture
from aione_mock.text.data_files import Money, PositiveInt, Text, YamlModel, load_yaml_model

_TOKENS_PER_PRICE = 1_000_000
MAX_NAME_CHARS = 200
"""Longer names are those of no model."""
_MAX_OTHERS = 1000
"""Names outside the catalogue whose models are kept."""


PositiveFloat = Annotated[float, Field(strict=True, gt=0, lt=1e6)]
Price = Annotated[Money, Field(ge=0)]
"""RMB per million tokens."""
TickPrices = tuple[int, int, int]
"""Input, cached input and output: ticks (0.0001 RMB) per million tokens."""


class ModelPrices(YamlModel):
    """The prices of a model. Tokens written to a prompt cache cost what other input does."""

    input: Price
    cached_input: Price = Field(default_factory=lambda fields: fields["input"])
    """What input costs, if left out."""
    output: Price

    def to_ticks(self) -> TickPrices:
        """Return the prices as whole numbers of ticks."""
        return rmb_to_ticks(self.input), rmb_to_ticks(self.cached_input), rmb_to_ticks(self.output)


class ModelPace(YamlModel):
    """How fast a model streams under the profile `realistic`."""

    ttft: PositiveFloat = 1.0
    """Seconds until the first token."""
    tokens_per_second: PositiveFloat = 60.0


class ModelTraits(YamlModel):
    """What a model can do and what it costs. The defaults are those of a generic chat model."""

    owner: Text = "custom"
    created: Annotated[date, Field(strict=True)] = date(2026, 1, 1)
    """The day of its release."""
    context_length: PositiveInt = 128_000
    """Tokens that prompt and answer may have together."""
    max_output_tokens: PositiveInt = Field(default_factory=lambda fields: min(16_384, fields["context_length"]))
    """16,384 if left out, or what `context_length` allows."""
    protocols: tuple[Literal["openai", "anthropic", "gemini"], ...] = ("openai", "anthropic", "gemini")
    """Protocols by which it may be called."""
    abilities: tuple[Literal["tools", "vision", "image_output", "reasoning", "embeddings"], ...] = (
        "tools",
        "vision",
        "reasoning",
    )
    """Its abilities, as model lists name them. A model with `embeddings` makes vectors and answers no prompts."""
    prices: ModelPrices = ModelPrices.model_construct(
        input=Decimal("7.2000"), cached_input=Decimal("0.7200"), output=Decimal("28.8000")
    )
    pace: ModelPace = ModelPace.model_construct()
    image_size: Literal["1K", "2K", "4K"] = "1K"
    """Size of its images when a request names none."""
    embedding_size: PositiveInt = 1536
    """Numbers of an embedding when a request names none, and the most that it may ask for."""
    streaming: Annotated[bool, Field(strict=True)] = True

    @field_validator("max_output_tokens")
    @classmethod
    def _check_output(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("context_length", value):
            raise ValueError(f"{value} is more than context_length, {info.data['context_length']}; lower it")
        return value


class Model(ModelTraits):
    """One model of the catalogue."""

    id: Text
    display_name: Text = Field(default_factory=lambda fields: fields["id"])
    """The id, if left out."""
    aliases: tuple[Text, ...] = ()
    """Other names by which it may be called."""

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


_TRAITS = tuple(ModelTraits.model_fields)


def _parse_any(value: object) -> object:
    """Return the traits that `any: true` stands for, or None."""
    return {} if value is True else None if value is False else value


class ModelCatalogue(YamlModel):
    """All models, in the order in which lists show them."""

    extends: Literal["default"] | None = None
    """`default` keeps the bundled models. An entry with the id of one of them changes it."""
    any: Annotated[ModelTraits | None, BeforeValidator(_parse_any, json_schema_input_type=bool | ModelTraits)] = None
    """What a name that is not in the list stands for: true for a generic chat model, or the traits of one."""
    models: tuple[Model, ...] = ()

    @classmethod
    def load(cls, path: Path | None = None) -> ModelCatalogue:
        """Read a catalogue file, by default the bundled one. Raises ConfigError."""
        return load_yaml_model(path or locate_fixture("models.yaml"), cls, "catalogue")

    @cached_property
    def names(self) -> Mapping[str, Model]:
        """Every id and alias, to its model."""
        return {name: model for model in self.models for name in (model.id, *model.aliases)}

    @cached_property
    def _others(self) -> dict[str, Model]:
        return {}

    @model_validator(mode="after")
    def _check_names(self) -> ModelCatalogue:
        owners: dict[str, Model] = {}
        for model in self.models:
            for name in (model.id, *model.aliases):
                if owners.setdefault(name, model) is not model:
                    raise ValueError(f"the name '{name}' belongs to both {owners[name].id} and {model.id}; rename one")
        if not self.models and self.any is None and self.extends is None:
            raise ValueError("there is no model; add one to models, or `extends: default`")
        return self

    def find(self, name: str) -> Model | None:
        """Return the model with this id or alias; names are case-sensitive."""
        model = self.names.get(name)
        if model is None and self.any is not None and 0 < len(name) <= MAX_NAME_CHARS:
            return self.make_other(name)
        return model

    def make_other(self, name: str) -> Model:
        """Return a model for a name that the catalogue does not have: as `any` says, else a generic chat model."""
        model = self._others.get(name)
        if model is None:
            traits = self.any or ModelTraits()
            model = Model.model_construct(id=name, display_name=name, **{f: getattr(traits, f) for f in _TRAITS})
            if len(name) <= MAX_NAME_CHARS and len(self._others) < _MAX_OTHERS:
                self._others[name] = model
        return model


def compute_cost(prices: TickPrices, prompt: int, cached: int, completion: int) -> int:
    """Return price times tokens in ticks, rounded half to even. `cached` tokens are part of `prompt`."""
    input_price, cached_price, output_price = prices
    total = (prompt - cached) * input_price + cached * cached_price + completion * output_price
    ticks, rest = divmod(2 * total + _TOKENS_PER_PRICE, 2 * _TOKENS_PER_PRICE)
    return ticks if rest else ticks - ticks % 2


def rmb_to_ticks(amount: Decimal) -> int:
    """Return an amount of RMB, which has at most 4 decimal places, in ticks of 0.0001 RMB."""
    return int(amount.scaleb(4))


def ticks_to_rmb(ticks: int) -> Decimal:
    """Return an amount in RMB with 4 decimal places."""
    return Decimal(ticks).scaleb(-4)
