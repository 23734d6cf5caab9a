"""Settings, their configuration file, and bundled files. The only module that reads the environment."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SkipValidation,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from aione_mock.clock import LONGEST_WAIT, parse_clock_time
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.seed import check_seed
from aione_mock.structs import replace
from aione_mock.text.credentials import find_header_problem
from aione_mock.text.data_files import DataFile, describe_details

_PACKAGE = Path(__file__).parent
# a wheel holds the contract and the data inside the package; a checkout holds them beside it
_DATA = _PACKAGE if (_PACKAGE / "openapi").is_dir() else _PACKAGE.parent
VERSION = "0.2.0"
"""Version of the package. Its metadata is built from this value, since reading the metadata takes 10 ms."""
DOCUMENTS = ("aione.yaml", "modelrouter.yaml", "control.yaml")
"""The contract: two documents of the gateway, and the mock's own control API."""
Extension = Literal["embeddings", "responses"]
"""A bundled overlay with operations that nothing says AIone offers."""
EXTENSIONS: tuple[Extension, ...] = get_args(Extension)
_ENV_PREFIX = "AIONE_MOCK_"
_MESSAGES = {
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list of paths",
    "path_type": "must be a path",
    "string_too_short": "must not be empty",
}
"""Messages for types of errors whose own message speaks of Python."""
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_\d")
CONFIG_VARIABLE = f"{_ENV_PREFIX}CONFIG"
CONFIG_FILES = ("aione-mock.yaml", "aione-mock.toml")
"""Configuration files that commands find in the working directory."""
_TABLE = ("tool", "aione-mock")
"""The table of a pyproject.toml that holds the configuration."""
RULES = "rules"
"""The member of a configuration file that is no setting: rules, as in a scenario file."""
_DEFAULT_PORT = 8000
ANY = "any"
_UPSTREAM: Mapping[str, Any] = {"auth": "any", "models": ANY, "journal_entries": 100_000, "journal_bytes": 64 << 20}
"""Settings of a mock behind a gateway, unless they are set."""
"""In place of a file of models: the bundled ones, and every other name."""
LOOPBACK_ORIGINS, ANY_ORIGIN, NO_ORIGIN = "loopback", "*", "off"
"""Names among the origins of pages: those of this machine, all, and none."""
_ROOT_PATH = re.compile(r"(?:/[\w.~-]+)+", re.ASCII)
STORE_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys")
"""Schemes of the URL of a store that processes share."""
MEMORY = "memory"
"""In place of that URL: the state stays in the process."""
_MAX_WORKERS = 256
_PREFIX = re.compile(r"[A-Za-z0-9.:_-]{1,64}")
_RESERVED = frozenset(("s", "n"))
"""What follows a prefix in names of keys. A prefix that had them could be taken for keys of a shorter one."""
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+|loopback|\*|off|null")


def _parse_instant(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_clock_time(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _split_paths(value: object) -> object:
    if isinstance(value, str):
        return tuple(path for path in value.split(os.pathsep) if path)
    return (value,) if isinstance(value, Path) else value


def _split_names(value: object) -> object:
    names = value.split(",") if isinstance(value, str) else value
    return tuple([name.strip().lower() for name in names]) if isinstance(names, list | tuple) else names


def parse_extensions(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of extensions; each text may hold several, with commas between them. Raises ConfigError."""
    try:
        return _split_extensions(tuple(names))
    except ValueError as error:
        raise ConfigError(f"--with: {error}") from None


def _split_extensions(value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list | tuple) else [value]
    names = [name.strip().lower() for text in texts for name in str(text).split(",") if name.strip()]
    for name in names:
        if name not in EXTENSIONS:
            raise ValueError(f"there is no extension '{name}'; choose from {', '.join(EXTENSIONS)}")
    return tuple(dict.fromkeys(names))


def _parse_root_path(value: object) -> object:
    path = value.rstrip("/") if isinstance(value, str) else value or ""
    if isinstance(path, str) and path and not _ROOT_PATH.fullmatch(path):
        raise ValueError(f"{path!r} is no path such as /llm, of letters, digits, dots, hyphens and underscores")
    return path


def _parse_off(value: object) -> object:
    return "off" if value is False else value  # YAML reads `off` as false


def _parse_origins(value: object) -> object:
    names = _split_names(_parse_off(value))
    if not isinstance(names, tuple):
        raise ValueError("must be a list of origins")
    origins = tuple([name.rstrip("/") for name in names])
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is no origin; write https://example.com:8443 or 'loopback' or '*' or 'off'")
    if NO_ORIGIN in origins and len(origins) > 1:
        raise ValueError("'off' goes with no other origin; remove it or them")
    return origins


def _parse_control(value: object) -> object:
    """Return whether there is a control API; `on` and `off` are booleans to pydantic already."""
    if isinstance(value, str) and value.lower() != "open":
        return TypeAdapter(bool).validate_python(value)
    return value.lower() if isinstance(value, str) else value


def _parse_store(value: object) -> object:
    """Return the URL of a store. What is wrong with it is said without it, since it may hold a password."""
    problem = None if value == MEMORY else _find_problem(value)
    if problem is not None:
        raise ValueError(f"must be {MEMORY!r} or a URL such as redis://127.0.0.1:6379/0; {problem}")
    return value


def _find_problem(url: object) -> str | None:
    """Return what is wrong with the URL of a store, None if nothing is."""
    schemes = ", ".join(f"{scheme}://" for scheme in STORE_SCHEMES)
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:  # brackets without an address of IPv6
        return "its host is no name and no address"
    if parts is None or parts.scheme not in STORE_SCHEMES:
        return f"it starts with one of {schemes}"
    local = parts.scheme == "unix"
    checks = (
        (_has_early_end(parts), "a password with / ? # or @ has to be percent-encoded"),
        (local and len(parts.path) < 2, "it names no socket"),
        (not local and not parts.hostname, "it names no host"),
        (not local and not _has_port(parts), "its port is no number from 1 to 65535"),
        (not local and not re.fullmatch(r"/?\d*", parts.path), "its database, behind the /, is no number"),
    )
    return next((problem for found, problem in checks if found), None)


def _has_early_end(parts: SplitResult) -> bool:
    """Return whether a password may have ended the address."""
    return bool(parts.fragment) or "@" in parts.query or (parts.scheme != "unix" and "@" in parts.path)


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _parse_prefix(value: object) -> object:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits, dots, colons, hyphens and underscores")
    if not _RESERVED.isdisjoint(value.split(":")):
        raise ValueError("must have no 's' or 'n' alone between colons; keys of a mock are named so")
    return value


def _parse_workers(value: object) -> object:
    if value == "auto":
        return value
    with contextlib.suppress(ValidationError):
        if not isinstance(value, bool) and 1 <= (number := TypeAdapter(int).validate_python(value)) <= _MAX_WORKERS:
            return number
    raise ValueError(f"must be a number from 1 to {_MAX_WORKERS}, or 'auto'")


def _parse_check(value: object) -> object:
    """Return the mode of the check of answers; a bare switch means `log`."""
    with contextlib.suppress(ValidationError):
        return "log" if TypeAdapter(bool).validate_python(value) else "off"
    return value.lower() if isinstance(value, str) else value


def _parse_seed(value: object) -> object:
    text = str(value) if type(value) is int else value
    if isinstance(text, str):
        try:
            return check_seed(text)
        except ConfigError as error:
            raise ValueError(str(error)) from None
    return value


def _check_content(value: object) -> object:
    if value is None or isinstance(value, str | Mapping):
        return value
    if isinstance(value, Path):
        return str(value)
    raise ValueError("must be the path of a file, or what such a file contains")


def _parse_port(value: object) -> object:
    # Kubernetes sets AIONE_MOCK_PORT=tcp://… for a service that is called aione-mock
    return _DEFAULT_PORT if isinstance(value, str) and "://" in value else value


FileOrContent = Annotated[str | Mapping[str, Any] | None, NoDecode, SkipValidation, BeforeValidator(_check_content)]
"""The path of a file, or what such a file contains."""
Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_split_paths)]
"""Paths; in the environment they are separated as in PATH."""


class Settings(BaseSettings):
    """Everything a server is started with.

    A value comes from a keyword argument, else from the environment variable `AIONE_MOCK_` + the field's name in
    capitals, else from the configuration file, else from the default. Raises ConfigError for a bad value and TypeError
    for an unknown option.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=_ENV_PREFIX, env_ignore_empty=True, allow_inf_nan=False
    )

    config: Path | None = Field(
        None, description="Configuration file: YAML, TOML, or a pyproject.toml with a table `tool.aione-mock`."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Annotated[int, BeforeValidator(_parse_port)] = Field(
        _DEFAULT_PORT, ge=0, le=65535, description="Port to listen on; 0 picks a free one."
    )
    uds: Path | None = Field(None, description="Unix socket to listen on, instead of an address and a port.")
    root_path: Annotated[str, BeforeValidator(_parse_root_path)] = Field(
        "", description="Path below which a proxy serves the mock, such as /llm; the proxy may remove it or not."
    )
    tls_cert: Path | None = Field(None, description="Certificate with its chain, in PEM form, to serve HTTPS.")
    tls_key: Path | None = Field(None, description="The key of the certificate, in PEM form, without a password.")
    tls_self_signed: bool = Field(
        False, description="Whether HTTPS is served with a certificate of the mock's own, made at the start."
    )
    seed: Annotated[str, BeforeValidator(_parse_seed, json_schema_input_type=str | int)] = Field(
        "0", description="A number or a word; another seed gives other names and words."
    )
    now: Annotated[datetime | None, BeforeValidator(_parse_instant)] = Field(
        None, description="ISO 8601 time at which the clock stands still. Without it, time passes."
    )
    auth: Literal["keys", "any"] = Field(
        "keys", description="Which API keys are accepted: those of the organisation, or `any` key as the demo key."
    )
    as_upstream: bool = Field(
        False,
        description="Whether the mock stands behind a gateway under test: every key and model is accepted, also none, "
        "nothing is limited, and each answer begins with a canary that `aione-mock canaries` looks for.",
    )
    models: FileOrContent = Field(
        None, description="Models on offer: a file, or `any` for the bundled ones and every other name."
    )
    world: FileOrContent = Field(None, description="Organisations with teams, members, keys and plans: a file.")
    overlays: Paths = Field((), description="OpenAPI Overlays that change the contract.")
    extensions: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_split_extensions, json_schema_input_type=list[Extension] | str),
    ] = Field((), description="Operations to serve besides those of AIone: embeddings, responses.")
    scenarios: Paths = Field((), description="Scenario files, or folders of them. Changes take effect at once.")
    pace: str = Field("instant", description="How fast answers come: instant, realistic, or 'pace; ttft=0.5; tps=20'.")
    flush: Literal["joined", "each"] = Field(
        "joined", description="Whether events of a stream that are due together share a write, or get one each."
    )
    time_scale: float = Field(1.0, gt=0, description="Divides every delay: 10 is ten times as fast.")
    control: Annotated[bool | Literal["open"], BeforeValidator(_parse_control)] = Field(
        True,
        description="Whether the control API under /_mock/ is served. On an address that other machines reach it needs "
        "a control token, unless it is `open`.",
    )
    ui: bool = Field(True, description="Whether the page under /_mock/ui is served, with the control API.")
    mcp: bool = Field(
        False, description="Whether coding agents may control the mock under /_mock/mcp, with the control API."
    )
    control_token: str | None = Field(
        None, min_length=1, repr=False, description="Bearer token that the control API requires."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)] = Field(
        (), description="Names besides localhost by which the control API of this machine may be called; * for any."
    )
    cors: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(_parse_origins, json_schema_input_type=list[str] | str | Literal[False]),
    ] = Field(
        (LOOPBACK_ORIGINS,),
        description="Origins of web pages that may use the gateway from a browser: https://example.com, `loopback` for "
        "those of this machine, `*` for all, or `off`. The control API is never among it.",
    )
    max_body: int = Field(32 << 20, ge=0, description="Size of the largest accepted request body, in bytes.")
    request_timeout: float = Field(
        30.0, gt=0, le=LONGEST_WAIT, description="Seconds within which a request has to arrive whole."
    )
    drain: float = Field(
        1.0, ge=0, le=LONGEST_WAIT, description="Seconds that SIGTERM leaves to open requests and streams."
    )
    journal_entries: int = Field(1000, ge=0, description="Number of exchanges that the journal of a session keeps.")
    journal_bytes: int = Field(16 << 20, ge=0, description="Size of the journal of a session, in bytes.")
    journals_total: int = Field(64 << 20, ge=0, description="Size of the journals of all sessions together, in bytes.")
    max_sessions: int = Field(1000, ge=1, description="Number of sessions. The oldest one is removed for a new one.")
    store: Annotated[str, BeforeValidator(_parse_store)] = Field(
        MEMORY,
        repr=False,
        description="Where the state is kept: `memory`, or the URL of a Redis or Valkey that processes share, such as "
        "redis://127.0.0.1:6379/0.",
    )
    store_prefix: Annotated[str, BeforeValidator(_parse_prefix)] = Field(
        "aione-mock", description="What the names of all keys in the store begin with; another prefix is another mock."
    )
    store_timeout: float = Field(
        2.0, gt=0, le=LONGEST_WAIT, description="Seconds within which the store has to answer."
    )
    workers: Annotated[
        int | Literal["auto"], BeforeValidator(_parse_workers, json_schema_input_type=int | Literal["auto"])
    ] = Field(1, description="Number of processes that serve one port; `auto` is one a core. Several need a store.")
    cache: bool = Field(True, description="Whether results of pure functions of a request are cached.")
    check_answers: Annotated[
        Literal["off", "log", "strict"],
        BeforeValidator(_parse_check, json_schema_input_type=Literal["off", "log", "strict"] | bool),
    ] = Field(
        "off",
        description="Whether each answer is held against the contract: `log` records what differs in journal and log, "
        "`strict` also answers with a 500.",
    )
    mutant: str | None = Field(None, description="Name of a deliberately wrong variant of the mock.")
    replay: Path | None = Field(None, description="A cassette whose recordings answer before the mock does.")
    replay_only: bool = Field(False, description="Whether a request that was never recorded is answered with 404.")
    replay_timing: Literal["recorded", "none", "scale"] = Field(
        "recorded", description="When recorded answers come: as recorded, at once, or divided by the time scale."
    )
    replay_cycle: bool = Field(
        False, description="Whether the recordings of a request start over after the last, instead of repeating it."
    )
    log: Annotated[
        Literal["auto", "requests", "off"],
        BeforeValidator(_parse_off, json_schema_input_type=Literal["auto", "requests", "off", False]),
    ] = Field(
        "auto", description="Whether each request is logged on standard error; `auto` means if that is a terminal."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="The format of the log of requests: columns, or an object of JSON a line."
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "warning", description="The lowest level of other log messages on standard error."
    )
    metrics: bool = Field(False, description="Whether GET /_mock/metrics serves figures for Prometheus.")
    otel: bool = Field(
        False,
        description="Whether each call is a span for OpenTelemetry, exported as its own variables say: "
        "OTEL_EXPORTER_OTLP_ENDPOINT and others.",
    )
    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _file: DataFile | None = PrivateAttr(None)
    _from_file: frozenset[str] = PrivateAttr(frozenset())

    def __init__(self, _name_option: Callable[[str], str] = str, **options: Any) -> None:
        """Collect the settings. `_name_option` returns how error messages call an option."""
        fields = type(self).model_fields
        for name in options:
            if name not in fields:
                raise TypeError(f"there is no option '{name}'{did_you_mean(name, fields)}")
        if "control_token" not in options and os.environ.get(_ENV_PREFIX + "CONTROL_TOKEN") == "":
            # other empty variables count as absent, but one that was forgotten must not open the control API
            raise ConfigError(f"{_ENV_PREFIX}CONTROL_TOKEN: must not be empty; remove it to have no token")
        environment = _read_environment()
        path = options.get("config") or environment.get("config")
        file = None if path is None else read_configuration(Path(path))
        from_file = {} if file is None else _resolve_paths(file)
        given = {name: value for name, value in from_file.items() if name not in environment} | options
        try:
            super().__init__(**given)
        except ValidationError as error:
            details = error.errors(include_url=False)
            lines = [_describe_error(each, options, environment, file, _name_option) for each in details]
            raise ConfigError("\n".join(dict.fromkeys(lines))) from None
        self._file = file
        self._from_file = frozenset(from_file.keys() - environment.keys() - options.keys())
        by_variable = {name: _ENV_PREFIX + name.upper() for name in environment}
        self._origins = by_variable | {name: _name_option(name) for name in options}

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

    def get_origin(self, name: str) -> str:
        """Return where the value of a setting comes from: an option, a variable, a line of the file, or `default`."""
        if self._file is not None and name in self._from_file:
            return f"{self._file.path}:{self._file.locate((name,))}"
        return self._origins.get(name, "default")

    @property
    def scheme(self) -> str:
        """`https` or `http`: what the server is started for."""
        return "https" if self.tls_cert or self.tls_self_signed else "http"

    @property
    def worker_count(self) -> int:
        """The number of processes that serve; `auto` is the number of cores that this process may use."""
        if self.workers != "auto":
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, _MAX_WORKERS)

    @property
    def configured_rules(self) -> Path | None:
        """The configuration file, if it contains rules."""
        return self.config if self._file is not None and self._file.data.get(RULES) else None

    def open_content(self, name: str) -> DataFile | None:
        """Return what `models` or `world` contains, from its own file or the configuration file; None if not set."""
        value = getattr(self, name)
        if value is None:
            return None
        if isinstance(value, str):
            return _read_content(name, Path(value))
        if self._file is not None and name in self._from_file:
            return self._file.select(name)
        return DataFile(value, place=(name,))

    @model_validator(mode="before")
    @classmethod
    def _accept_gateways(cls, data: Any) -> Any:
        """Fill in what `as_upstream` means for settings that are not set."""
        wanted = str(data.get("as_upstream", "")).lower() in ("true", "1", "yes", "on", "t", "y")
        return {**_UPSTREAM, **data} if wanted else data

    @field_validator("control_token")
    @classmethod
    def _require_sendable(cls, value: str | None) -> str | None:
        problem = find_header_problem(value or "")
        if problem:
            raise ValueError(f"{problem}; remove it")
        return value

    @field_validator("mcp")
    @classmethod
    def _require_control(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("control") is False:
            raise ValueError("needs the control API, which is off; remove one")
        return value

    @field_validator("replay_only")
    @classmethod
    def _require_cassette(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("replay") is None:
            raise ValueError("needs a cassette; set `replay` too")
        return value


def _read_content(name: str, path: Path) -> DataFile:
    """Read the file of `models` or `world`. Raises ConfigError, with a remedy for a name in place of a file."""
    try:
        return DataFile.read(path, f"{name} file")
    except ConfigError as error:
        if path.suffix or path.exists():
            raise
        example = "`--models any` takes every name" if name == "models" else "`aione-mock init` writes an example"
        raise ConfigError(f"{error}; {example}, or name a YAML file") from None


def _read_environment() -> Mapping[str, Any]:
    """Return the settings that environment variables give, as text."""
    source: Any = EnvSettingsSource(Settings)
    found: Mapping[str, Any] = source()
    return found


def list_unknown_variables() -> list[str]:
    """Return what is wrong with variables that name no setting, but for those that Kubernetes sets of a service."""
    known = [_ENV_PREFIX + name.upper() for name in Settings.model_fields]
    return [
        f"{name}: there is no such setting{did_you_mean(name, known) or '; remove it'}"
        for name in sorted(os.environ)
        if name.startswith(_ENV_PREFIX) and name not in known and not _SERVICE_LINK.search(name)
    ]


def _describe_error(
    details: ErrorDetails,
    options: Mapping[str, Any],
    environment: Mapping[str, Any],
    file: DataFile | None,
    name_option: Callable[[str], str],
) -> str:
    """Describe a bad value in one line that names its source."""
    field = str(details["loc"][0])
    if file is not None and field not in options and field not in environment:
        return file.format_mistake(details["loc"], describe_details(details, Settings))
    source = name_option(field) if field in options else _ENV_PREFIX + field.upper()
    if details["type"] == "value_error":
        return f"{source}: {details['msg'].removeprefix('Value error, ')}"
    message = details["msg"].replace("Input should be", "must be").partition(", ")[0]
    secret = not Settings.model_fields[field].repr
    return f"{source}: {_MESSAGES.get(details['type']) or message}" + ("" if secret else f", not {details['input']!r}")


def find_configuration(folder: Path = Path()) -> Path | None:
    """Return the configuration file of a folder, if it has one. Raises ConfigError if it has two."""
    found = [folder / name for name in CONFIG_FILES if (folder / name).is_file()]
    if len(found) > 1:
        raise ConfigError(f"there are both {found[0]} and {found[1]}; remove one, or choose with --config")
    return found[0] if found else None


def read_configuration(path: Path) -> DataFile:
    """Read a configuration file. Raises ConfigError with one line for each member that does not exist."""
    file = DataFile.read(path, "configuration file")
    if path.name == "pyproject.toml":
        try:
            file = file.select(*_TABLE)
        except (KeyError, TypeError):
            raise ConfigError(f"{path}: there is no table [{'.'.join(_TABLE)}]; add it") from None
    file = replace(file, data={}) if file.data is None else file
    if not isinstance(file.data, dict):
        raise ConfigError(f"{path}:1: the configuration file must be a mapping of settings, such as `port: 8000`")
    known = [*(name for name in Settings.model_fields if name != "config"), RULES]
    unknown = [name for name in file.data if name not in known]
    if unknown:
        raise ConfigError(
            "\n".join(
                file.format_mistake(
                    (name,), f"there is no such setting{did_you_mean(str(name), known) or '; remove it'}"
                )
                for name in unknown
            )
        )
    return file


def _resolve_paths(file: DataFile) -> dict[str, Any]:
    """Return the settings of a configuration file. Relative paths in it start at its folder."""
    folder = (file.path or Path()).parent
    values = {name: value for name, value in file.data.items() if name != RULES}
    for name in ("replay", "models", "world", "uds", "tls_cert", "tls_key"):
        if isinstance(values.get(name), str) and values[name] != ANY:
            values[name] = str(folder / values[name])
    for name in ("overlays", "scenarios"):
        if isinstance(values.get(name), str):
            values[name] = [values[name]]
        if isinstance(values.get(name), list):
            values[name] = [folder / path if isinstance(path, str) else path for path in values[name]]
    return values


def locate_document(name: str) -> Path:
    """Return the path of a bundled contract document."""
    return _DATA / "openapi" / name


def locate_extensions(names: Iterable[str]) -> tuple[Path, ...]:
    """Return the paths of the bundled overlays of extensions."""
    return tuple([_DATA / "openapi" / "extensions" / f"{name}.yaml" for name in names])


def locate_fixture(name: str) -> Path:
    """Return the path of a bundled data file or folder."""
    return _DATA / "fixtures" / name


def locate_docs() -> Path:
    """Return the folder of the documentation; it does not exist where the package was built without it."""
    return _DATA / "docs"


def locate_page() -> Path:
    """Return the folder of the built page; it does not exist where the page was not built."""
    return _DATA / "web" / "dist"


def read_fixture(name: str) -> bytes:
    """Read a bundled data file, such as `models.yaml`."""
    return locate_fixture(name).read_bytes()


def read_variable(name: str) -> str | None:
    """Return an environment variable; an empty one counts as absent."""
    return os.environ.get(name) or None


@contextlib.contextmanager
def override_variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable of this process, and of those it starts, inside the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def find_cache_folder() -> Path:
    """Return the folder for files of this user that may be deleted."""
    return Path(read_variable("XDG_CACHE_HOME") or Path.home() / ".cache") / "aione-mock"


def build_environment(changes: Mapping[str, str], without: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment for a program to start: that of this process with changes."""
    removed = set(without)
    return {**{name: value for name, value in os.environ.items() if name not in removed}, **changes}
