"""`aione-mock store`: check the store that workers share, and clear it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aione_mock.cli import terminal
from aione_mock.cli.setting_options import name_source, read_settings
from aione_mock.errors import ConfigError
from aione_mock.settings import MEMORY, Settings

if TYPE_CHECKING:
    from redis import Redis

_PINGS = 20
"""Round trips of which the median is the latency."""
_BATCH = 1000
"""Keys that are listed, and deleted, at a time."""
_NAMES = ("sessions", "used", "stats", "journals", "open", "listening", "generations", "began")
"""Keys of a mock, as `scripts.lua` names them after the prefix; those of its sessions begin with `s:` and `n:`."""

Store = Annotated[str | None, typer.Option(metavar="URL", help="As for `serve`.")]
StorePrefix = Annotated[str | None, typer.Option(metavar="TEXT", help="As for `serve`.")]
StoreTimeout = Annotated[float | None, typer.Option(metavar="SECONDS", help="As for `serve`.")]
Config = Annotated[Path | None, typer.Option(metavar="FILE", help="As for `serve`.")]

app = typer.Typer(help="Check the store that workers share, and clear it.", no_args_is_help=True)


@app.command("check")
def check_store(
    store: Store = None, store_prefix: StorePrefix = None, store_timeout: StoreTimeout = None, config: Config = None
) -> None:
    """Connect to the store; show its version, its latency, and what it holds of this mock.

    Exit code 2: it cannot be used.
    """
    settings = _read_settings(store, store_prefix, store_timeout, config)
    from aione_mock.store.redis import check_server, name_store

    info = check_server(settings.store, settings.store_timeout, name_source(settings, "store"))
    with _connect(settings) as client:
        rows = (
            ("store", name_store(settings.store)),
            ("server", _describe_server(info)),
            ("latency", f"{_measure_latency(client):.2f} ms"),
            ("prefix", settings.store_prefix),
            ("sessions", str(client.hlen(f"{settings.store_prefix}:sessions"))),
            ("entries", str(sum([client.exists(*keys) for keys in _list_keys(client, settings.store_prefix)]))),
        )
    for line in terminal.align_columns(rows):
        terminal.print_line(line)


@app.command("clear")
def clear_store(
    store: Store = None,
    store_prefix: StorePrefix = None,
    store_timeout: StoreTimeout = None,
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete everything that the store holds of this mock: its keys under its prefix, and those of no other.

    Mocks that are running on it start anew, as they do after a restart.
    """
    settings = _read_settings(store, store_prefix, store_timeout, config)
    from aione_mock.store.redis import check_server, name_store

    check_server(settings.store, settings.store_timeout, name_source(settings, "store"))
    place = f"the mock {settings.store_prefix} in {name_store(settings.store)}"
    _confirm(place, yes=yes)
    with _connect(settings) as client:
        count = sum([client.unlink(*keys) for keys in _list_keys(client, settings.store_prefix)])
    terminal.print_line(f"{count} keys are deleted: {place}")


def _read_settings(
    store: str | None, store_prefix: str | None, store_timeout: float | None, config: Path | None
) -> Settings:
    """Return the settings. Raises ConfigError if they name no store."""
    options = {"store": store, "store_prefix": store_prefix, "store_timeout": store_timeout, "config": config}
    settings = read_settings(options)
    if settings.store == MEMORY:
        raise ConfigError("there is no store; name it, such as --store redis://127.0.0.1:6379/0")
    return settings


def _confirm(place: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"this would delete {place}; add --yes")
    typer.confirm(f"Delete {place}?", abort=True)


@contextmanager
def _connect(settings: Settings) -> Iterator[Redis]:
    """Yield a client. What the server refuses becomes a ConfigError."""
    from redis import Redis, RedisError

    from aione_mock.store.redis import describe_failure, name_store, translate_url

    limit = settings.store_timeout
    try:
        with Redis.from_url(
            translate_url(settings.store), socket_timeout=limit, socket_connect_timeout=limit, protocol=2
        ) as client:
            yield client
    except (RedisError, OSError) as error:
        source = name_source(settings, "store")
        raise ConfigError(f"{source} {name_store(settings.store)}: {describe_failure(error)}") from None


def _describe_server(info: dict[str, Any]) -> str:
    if version := info.get("valkey_version"):
        return f"Valkey {version}"
    return f"Redis {info['redis_version']}"


def _measure_latency(client: Redis) -> float:
    """Return the median of some round trips, in milliseconds."""
    client.ping()
    took = sorted([_measure_ping(client) for _ in range(_PINGS)])
    return 1000 * took[_PINGS // 2]


def _measure_ping(client: Redis) -> float:
    began = time.perf_counter()
    client.ping()
    return time.perf_counter() - began


def _list_keys(client: Redis, prefix: str) -> Iterator[list[Any]]:
    """Yield the keys that a mock may have, some at a time. The server goes on working meanwhile."""
    fixed = [f"{prefix}:{name}" for name in _NAMES]
    keys = chain(fixed, client.scan_iter(match=f"{prefix}:[sn]:*", count=_BATCH))
    while some := [*islice(keys, _BATCH)]:
        yield some
