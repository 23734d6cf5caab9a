"""Read YAML files that people write into pydantic models, with errors that name file, line and field."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.settings import read_text

Model = TypeVar("Model", bound="YamlModel")
_MAX_ERRORS = 10
_MAX_VALUE_CHARS = 60
_MESSAGES = {"model_type": "Input should be a mapping", "tuple_type": "Input should be a list"}
"""Messages by pydantic's error types, where its own speak of Python."""


def _require_quotes(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('quote amounts of money, such as "21.6000"')
    return value


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Count = Annotated[int, Field(strict=True, ge=0)]
PositiveInt = Annotated[int, Field(strict=True, ge=1)]
Money = Annotated[Decimal, BeforeValidator(_require_quotes), Field(max_digits=13, decimal_places=4)]
"""RMB with at most 4 decimal places, quoted so that no float is ever in between."""


class YamlModel(BaseModel):
    """A frozen value read from a YAML file; unknown fields are errors."""

    # classes used inside others need no validator of their own, so none is built before it is asked for
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def load_yaml_model(path: Path, model: type[Model], kind: str) -> Model:
    """Read a YAML file as `model`; `kind` says what the file is, such as `catalogue`.

    Raises ConfigError with one line for each error: `models.yaml:7: models[0].owner: Field required`.
    """
    text = read_text(path, kind)
    try:
        data = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}{_format_mark(error)}: the {kind} is not valid YAML: {_one_line(error)}") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(describe_errors(path, text, error, model)[:_MAX_ERRORS])) from None


def describe_errors(path: Path, text: str, error: ValidationError, model: type[YamlModel]) -> list[str]:
    """Return one line for each error in a YAML text, such as `models.yaml:7: models[0].owner: Field required`."""
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    return [_describe_error(path, root, details, model) for details in _list_causes(error)]


def _list_causes(error: ValidationError) -> list[ErrorDetails]:
    """List the errors without those that only follow from another one inside the same value."""
    found = error.errors(include_url=False)
    containers = {details["loc"][:length] for details in found for length in range(len(details["loc"]))}
    return [
        details
        for details in found
        if details["loc"] not in containers and details["type"] != "default_factory_not_called"
    ]


def _format_mark(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "problem", None) or error).split())


def _describe_error(path: Path, root: yaml.Node | None, details: ErrorDetails, model: type[YamlModel]) -> str:
    line, field = find_line(root, details["loc"]), _format_field(details["loc"])
    message = _MESSAGES.get(details["type"]) or details["msg"].removeprefix("Value error, ")
    return f"{path}:{line}: {field}{message}{_suggest_fix(details, model)}"


def _suggest_fix(details: ErrorDetails, model: type[YamlModel]) -> str:
    value = details["input"]
    if details["type"] == "missing":
        return "; add it"
    if details["type"] == "extra_forbidden":
        return did_you_mean(str(details["loc"][-1]), _list_fields(model)) or "; remove it"
    if isinstance(value, str | int | float | None) and "secret" not in str(details["loc"][-1:]):
        return f", not {value!r}"[:_MAX_VALUE_CHARS]
    return ""


def _list_fields(model: type[YamlModel]) -> set[str]:
    """List the names of all fields of a model and of the models inside it."""
    schemas = model.model_json_schema()
    return {name for part in (schemas, *schemas.get("$defs", {}).values()) for name in part.get("properties", ())}


def _format_field(loc: tuple[int | str, ...]) -> str:
    """Format a place as `models[0].prices.input: `; the whole file has no name."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc]
    return "".join(steps).removeprefix(".") + ": " * bool(loc)


def find_line(node: Any, loc: tuple[int | str, ...]) -> int:
    """Find the line of a place, or of the nearest node around it."""
    line = node.start_mark.line if node else 0
    for step in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
    return int(line) + 1
