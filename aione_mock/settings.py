"""Settings, bundled files and YAML files that people write. The only module that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from aione_mock.clock import parse_instant
from aione_mock.errors import ConfigError, did_you_mean

Model = TypeVar("Model", bound="YamlModel")
_PACKAGE = Path(__file__).parent
# a wheel holds the contract and the data inside the package; a checkout holds them beside it
_DATA = _PACKAGE if (_PACKAGE / "openapi").is_dir() else _PACKAGE.parent
VERSION = "0.1.0"
"""Version of the package. Its metadata is built from this value, since reading the metadata takes 10 ms."""
DOCUMENTS = ("aione.yaml", "modelrouter.yaml", "control.yaml")
"""The contract: two documents of the gateway, and the mock's own control API."""
_ENV_PREFIX = "AIONE_MOCK_"
_MESSAGES = {
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list of paths",
    "path_type": "must be a path",
    "string_too_short": "must not be empty",
}
"""Messages for types of errors whose own message speaks of Python."""
_MAX_ERRORS = 10
_MAX_VALUE_CHARS = 60
_YAML_MESSAGES = {"model_type": "Input should be a mapping", "tuple_type": "Input should be a list"}
"""The same for YAML files."""


def _parse_instant(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_instant(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _split_paths(value: object) -> object:
    if isinstance(value, str):
        return tuple(path for path in value.split(os.pathsep) if path)
    return (value,) if isinstance(value, Path) else value


def _format_number(value: object) -> object:
    return str(value) if type(value) is int else value


Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_split_paths)]
"""Paths; in the environment they are separated as in PATH."""


class Settings(BaseSettings):
    """Everything a server is started with.

    A value comes from a keyword argument, else from the environment variable `AIONE_MOCK_` + the field's name in
    capitals, else from the default. Raises ConfigError for a bad value and TypeError for an unknown option.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=_ENV_PREFIX, env_ignore_empty=True, allow_inf_nan=False
    )

    seed: Annotated[str, BeforeValidator(_format_number)] = Field(
        "0", description="A number or a word; another seed gives other names and words."
    )
    now: Annotated[datetime | None, BeforeValidator(_parse_instant)] = Field(
        None, description="ISO 8601 time at which the clock stands still. Without it, time passes."
    )
    auth: Literal["keys", "any"] = Field(
        "keys", description="Which API keys are accepted: those of the organization, or `any` key as the demo key."
    )
    overlays: Paths = Field((), description="OpenAPI Overlays that change the contract.")
    scenarios: Paths = Field((), description="Scenario files, or folders of them. Changes take effect at once.")
    pace: str = Field("instant", description="How fast answers come: instant, realistic, or 'pace; ttft=0.5; tps=20'.")
    flush: Literal["joined", "each"] = Field(
        "joined", description="Whether events of a stream that are due together share a write, or get one each."
    )
    time_scale: float = Field(1.0, gt=0, description="Divides every delay: 10 is ten times as fast.")
    control: bool = Field(True, description="Whether the control API under /_mock/ is served.")
    control_token: str | None = Field(
        None, min_length=1, repr=False, description="Bearer token that the control API requires."
    )
    max_body: int = Field(32 << 20, ge=0, description="Size of the largest accepted request body, in bytes.")
    journal_entries: int = Field(1000, ge=0, description="Number of exchanges that the journal of a session keeps.")
    journal_bytes: int = Field(16 << 20, ge=0, description="Size of the journal of a session, in bytes.")
    max_sessions: int = Field(1000, ge=1, description="Number of sessions. The oldest one is removed for a new one.")
    cache: bool = Field(True, description="Whether results of pure functions of a request are cached.")
    mutant: str | None = Field(None, description="Name of a deliberately wrong variant of the mock.")
    replay: Path | None = Field(None, description="A cassette whose recordings answer before the mock does.")
    replay_only: bool = Field(False, description="Whether a request that was never recorded is answered with 404.")
    replay_timing: Literal["recorded", "none", "scale"] = Field(
        "recorded", description="When recorded answers come: as recorded, at once, or divided by the time scale."
    )
    replay_cycle: bool = Field(
        False, description="Whether the recordings of a request start over after the last, instead of repeating it."
    )

    def __init__(self, _name_option: Callable[[str], str] = str, **options: Any) -> None:
        """Collect the settings. `_name_option` returns how error messages call an option."""
        fields = type(self).model_fields
        for name in options:
            if name not in fields:
                raise TypeError(f"there is no option '{name}'{did_you_mean(name, fields)}")
        try:
            super().__init__(**options)
        except ValidationError as error:
            details = error.errors(include_url=False)[0]
            raise ConfigError(_describe_error(details, options, _name_option)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of values, the strongest first."""
        return init_settings, env_settings

    @field_validator("replay_only")
    @classmethod
    def _require_cassette(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("replay") is None:
            raise ValueError("needs a cassette; set `replay` too")
        return value


def _describe_error(details: ErrorDetails, options: Mapping[str, Any], name_option: Callable[[str], str]) -> str:
    """Describe a bad value in one line that names its source."""
    field = str(details["loc"][0])
    source = name_option(field) if field in options else _ENV_PREFIX + field.upper()
    message = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = _MESSAGES.get(details["type"]) or message.partition(", ")[0]
    secret = not Settings.model_fields[field].repr
    return f"{source}: {message}" + (
        "" if secret or details["type"] == "value_error" else f", not {details['input']!r}"
    )


def document_path(name: str) -> Path:
    """Return the path of a bundled contract document."""
    return _DATA / "openapi" / name


def fixture_path(name: str) -> Path:
    """Return the path of a bundled data file or folder."""
    return _DATA / "fixtures" / name


def read_fixture(name: str) -> bytes:
    """Read a bundled data file, such as `models.yaml`."""
    return fixture_path(name).read_bytes()


def read_text(path: Path, kind: str) -> str:
    """Read a file that a user named; `kind` says what it is. Raise ConfigError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the {kind} '{path}': {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the {kind} '{path}' is not UTF-8 text") from None


def read_variable(name: str) -> str | None:
    """Return an environment variable; an empty one counts as absent."""
    return os.environ.get(name) or None


def build_environment(changes: Mapping[str, str], without: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment for a program to start: that of this process with changes."""
    removed = set(without)
    return {**{name: value for name, value in os.environ.items() if name not in removed}, **changes}


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
    return [_describe_yaml_error(path, root, details, model) for details in _list_causes(error)]


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


def _describe_yaml_error(path: Path, root: yaml.Node | None, details: ErrorDetails, model: type[YamlModel]) -> str:
    line, field = find_line(root, details["loc"]), _format_field(details["loc"])
    message = _YAML_MESSAGES.get(details["type"]) or details["msg"].removeprefix("Value error, ")
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
