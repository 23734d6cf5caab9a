"""Settings, read once at the edge. The only module that reads the environment or bundled files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from aione_mock.errors import ConfigError

_PACKAGE = Path(__file__).parent
# a wheel holds the contract and the data inside the package; a checkout holds them beside it
_DATA = _PACKAGE if (_PACKAGE / "openapi").is_dir() else _PACKAGE.parent
VERSION = "0.1.0"
"""Of the package. Its metadata takes it from here, as to read them takes 10 ms."""
DOCUMENTS = ("aione.yaml", "modelrouter.yaml", "control.yaml")
"""The contract: two documents of the gateway, and the mock's own control API."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a server is started with. Frozen; nothing reads settings from elsewhere."""

    seed: str = "0"
    now: datetime | None = None
    """The instant at which the clock stands still; None lets real time pass."""
    auth: Literal["keys", "any"] = "keys"
    """`any` takes every non-empty API key as the demo key."""
    overlays: tuple[Path, ...] = ()
    scenarios: tuple[Path, ...] = ()
    """Scenario files or folders, watched for changes."""
    pace: str = "instant"
    flush: Literal["joined", "each"] = "joined"
    """Whether events of a stream that are due at once share a write, or have one each."""
    time_scale: float = 1.0
    """Divides every delay: 10 makes a stream ten times as fast."""
    cache: bool = True
    """Whether results of pure functions of a request are cached; no answer differs."""
    control: bool = True
    """Whether `/_mock/…` is served."""
    control_token: str | None = None
    max_body: int = 32 << 20
    """Bytes of a request body, above which the answer is 413."""
    journal_entries: int = 1000
    journal_bytes: int = 16 << 20
    max_sessions: int = 1000
    mutant: str | None = None
    """A deliberately wrong variant of the mock, by name."""
    replay: Path | None = None
    """A cassette whose recordings answer before the mock does."""
    replay_only: bool = False
    """Whether a request that was never recorded is a 404 instead of the mock's."""
    replay_timing: Literal["recorded", "none", "scale"] = "recorded"
    """`scale` divides recorded times by `time_scale`."""
    replay_cycle: bool = False
    """Whether after the last recording of a request comes the first again, instead of the last."""
    documents: tuple[str, ...] = field(default=DOCUMENTS)


def document_path(name: str) -> Path:
    """Where a bundled contract document lies."""
    return _DATA / "openapi" / name


def read_fixture(name: str) -> bytes:
    """A bundled data file, such as `models.yaml`."""
    return (_DATA / "fixtures" / name).read_bytes()


def fixture_path(name: str) -> Path:
    """Where a bundled data file or folder lies."""
    return _DATA / "fixtures" / name


def read_text(path: Path, what: str) -> str:
    """A user's file as text. Raises ConfigError in one line."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the {what} '{path}': {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the {what} '{path}' is not UTF-8 text") from None


def read_variable(name: str) -> str | None:
    """A variable of the environment; an empty one counts as absent."""
    return os.environ.get(name) or None


def build_environment(changes: Mapping[str, str], without: Iterable[str] = ()) -> dict[str, str]:
    """The environment with changes, for a program to be started."""
    gone = set(without)
    return {**{name: value for name, value in os.environ.items() if name not in gone}, **changes}
