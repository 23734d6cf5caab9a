"""The models on offer: what they can do and what they cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import yaml

from aione_mock.errors import ConfigError
from aione_mock.settings import fixture_path, read_text
from aione_mock.structs import frozen
from aione_mock.types import Usage

PROTOCOLS = ("openai", "anthropic", "gemini")
ABILITIES = ("tools", "vision", "image_output", "reasoning")
IMAGE_SIZES = ("1K", "2K", "4K")

_MILLION = 1_000_000
_TICK = Decimal("0.0001")
_PRICE = re.compile(r"\d{1,9}(\.\d{1,4})?")
_PRICES = ("input", "cached_input", "output")
_REQUIRED = (
    "id",
    "display_name",
    "owner",
    "created",
    "context_length",
    "max_output_tokens",
    "protocols",
    "abilities",
    "prices",
)
_OPTIONAL = ("aliases", "pace", "image_size", "streaming")


@frozen
class Pace:
    """How fast a model streams under the profile `realistic`."""

    ttft: float = 1.0
    """Seconds until the first token."""
    tokens_per_second: float = 60.0


@frozen
class Model:
    """One model. Prices are RMB per million tokens."""

    id: str
    display_name: str
    owner: str
    created: int
    """Unix seconds, midnight UTC of the day it came out."""
    context_length: int
    """Tokens that prompt and answer may have together."""
    max_output_tokens: int
    protocols: tuple[str, ...]
    """Of `PROTOCOLS`: where it may be called."""
    abilities: tuple[str, ...]
    """Of `ABILITIES`, as model lists spell them."""
    input_price: Decimal
    cached_input_price: Decimal
    output_price: Decimal
    aliases: tuple[str, ...] = ()
    pace: Pace = Pace()
    image_size: str = "1K"
    """Size of its pictures when a request names none."""
    streaming: bool = True

    def can(self, ability: str) -> bool:
        """Whether it has one of `ABILITIES`."""
        return ability in self.abilities

    def speaks(self, protocol: str) -> bool:
        """Whether it may be called over one of `PROTOCOLS`."""
        return protocol in self.protocols


@frozen
class Catalogue:
    """All models in the order of the file."""

    models: tuple[Model, ...]
    names: Mapping[str, Model]
    """Every id and alias, to its model."""

    @classmethod
    def of(cls, models: tuple[Model, ...]) -> Catalogue:
        """A catalogue of models. Raises ConfigError when a name stands for two."""
        names: dict[str, Model] = {}
        for model in models:
            for name in (model.id, *model.aliases):
                if names.setdefault(name, model) is not model:
                    raise ConfigError(f"the model name '{name}' stands for both {names[name].id} and {model.id}")
        return cls(models, names)

    @classmethod
    def load(cls, path: Path | None = None) -> Catalogue:
        """The catalogue of a YAML file, by default the bundled one. Raises ConfigError, naming model and field."""
        path = path or fixture_path("models.yaml")
        try:
            data = yaml.load(read_text(path, "catalogue"), Loader=yaml.CSafeLoader)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"the catalogue '{path}' is not YAML: {' '.join(str(error).split())}") from None
        rows = data.get("models") if isinstance(data, dict) else None
        if not isinstance(rows, list) or not rows:
            raise ConfigError(f"the catalogue '{path}' needs a list 'models' with at least one model")
        return cls.of(tuple([_model(row, f"models[{at}]") for at, row in enumerate(rows)]))

    def find(self, name: str) -> Model | None:
        """The model with this id or alias; names are case-sensitive."""
        return self.names.get(name)


def cost(usage: Usage, model: Model) -> Decimal:
    """What a call costs: RMB with 4 places, rounded half to even.

    Cached prompt tokens cost the cached price; tokens written to the cache cost what other input does.
    """
    price = (
        (usage.prompt - usage.cached) * model.input_price
        + usage.cached * model.cached_input_price
        + usage.completion * model.output_price
    )
    return (price / _MILLION).quantize(_TICK, ROUND_HALF_EVEN)


def _model(row: Any, where: str) -> Model:
    row = _mapping(row, where, _REQUIRED, _OPTIONAL)
    prices = _mapping(row["prices"], f"{where}.prices", _PRICES)
    image_size = row.get("image_size", "1K")
    if image_size not in IMAGE_SIZES:
        raise ConfigError(f"{where}.image_size must be one of {', '.join(IMAGE_SIZES)}")
    return Model(
        id=_word(row["id"], f"{where}.id"),
        display_name=_word(row["display_name"], f"{where}.display_name"),
        owner=_word(row["owner"], f"{where}.owner"),
        created=_day(row["created"], f"{where}.created"),
        context_length=_count(row["context_length"], f"{where}.context_length"),
        max_output_tokens=_count(row["max_output_tokens"], f"{where}.max_output_tokens"),
        protocols=_words(row["protocols"], f"{where}.protocols", PROTOCOLS),
        abilities=_words(row["abilities"], f"{where}.abilities", ABILITIES),
        input_price=_price(prices["input"], f"{where}.prices.input"),
        cached_input_price=_price(prices["cached_input"], f"{where}.prices.cached_input"),
        output_price=_price(prices["output"], f"{where}.prices.output"),
        aliases=_words(row.get("aliases", []), f"{where}.aliases"),
        pace=_pace(row.get("pace", {}), f"{where}.pace"),
        image_size=image_size,
        streaming=_flag(row.get("streaming", True), f"{where}.streaming"),
    )


def _mapping(value: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a mapping")
    for name in required:
        if name not in value:
            raise ConfigError(f"{where} lacks '{name}'")
    for name in value:
        if name not in required and name not in optional:
            raise ConfigError(f"{where} has an unknown member '{name}'")
    return value


def _word(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where} must be a non-empty string")
    return value


def _words(value: Any, where: str, known: tuple[str, ...] = ()) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{where} must be a list of strings")
    words = tuple([_word(item, where) for item in value])
    for word in words:
        if known and word not in known:
            raise ConfigError(f"{where}: '{word}' is none of {', '.join(known)}")
    return words


def _day(value: Any, where: str) -> int:
    if type(value) is not date:
        raise ConfigError(f"{where} must be a date such as 2026-01-31")
    return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())


def _count(value: Any, where: str) -> int:
    if type(value) is not int or value < 1:
        raise ConfigError(f"{where} must be a whole number above 0")
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where} must be true or false")
    return value


def _price(value: Any, where: str) -> Decimal:
    if not isinstance(value, str) or not _PRICE.fullmatch(value):
        raise ConfigError(f'{where} must be a quoted decimal with at most 4 places, such as "21.6000"')
    return Decimal(value)


def _pace(value: Any, where: str) -> Pace:
    pace = {"ttft": Pace().ttft, "tokens_per_second": Pace().tokens_per_second}
    pace |= _mapping(value, where, (), tuple(pace))
    for name, figure in pace.items():
        if type(figure) not in (int, float) or not 0 < figure < 1e6:
            raise ConfigError(f"{where}.{name} must be a number above 0")
    return Pace(**pace)
