"""Run operations in Redis or Valkey. Those that arrive in the same turn of the event loop share one round trip.

Everything that changes is done by one script (`scripts.lua`), so each operation happens whole or not at all. A script
takes longer to begin than to run an operation, so one runs all operations of a round trip.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aione_mock.errors import ConfigError, MockError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SCRIPT = (Path(__file__).parent / "scripts.lua").read_text(encoding="utf-8")
_DIGEST = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest().encode()
_OLDEST = (7, 0)
"""The oldest Redis; Valkey names the version of Redis that it is compatible with."""
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
_MAX_BATCH = 32
"""Most calls of one round trip: others wait while the store runs them."""
_Call = tuple[str, bytes, bytes]
"""Name of the operation, its arguments, and further bytes."""
_Waiting = tuple[_Call, float, asyncio.Future[list[bytes]] | None]
"""A call, when it has waited long enough, and who waits for it."""
_log = logging.getLogger("aione_mock")
_INSTALL = "needs the package redis: pip install 'aione-mock[redis]'"


class StoreUnavailable(MockError):
    """The store does not answer, or refuses. The message says why."""


class RedisScripts:
    """Run operations of the script in the store of a URL."""

    def __init__(self, url: str, prefix: str, timeout: float) -> None:
        self.url, self.prefix, self._timeout = url, prefix, timeout
        self._client: Redis | None = None
        self._connection: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._is_unreachable = False
        self.observe: Callable[[float, bool], None] | None = None
        """Called with the seconds of each round trip, and whether it failed."""
        self.on_loss: Callable[[], None] = lambda: None
        """Called when the connection is lost: the store may come back with an earlier state."""

    async def run(self, operation: str, arguments: bytes, further: bytes = b"") -> list[bytes]:
        """Run an operation. Raises StoreUnavailable; then either nothing or all of it was done."""
        future: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._enqueue_call((operation, arguments, further), future)
        return await future

    def run_later(self, operation: str, arguments: bytes) -> None:
        """Run an operation without waiting for it. Its failure is not reported."""
        self._enqueue_call((operation, arguments, b""), None)

    def _enqueue_call(self, call: _Call, future: asyncio.Future[list[bytes]] | None) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # each event loop has connections of its own
            self._loop, self._client, self._connection, self._task, self._waiting = loop, None, None, None, []
        self._waiting.append((call, loop.time() + self._timeout, future))
        if self._task is None:
            self._task = loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout  # a worker that was busy before may not blame the store
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
                began = loop.time()
                try:
                    async with asyncio.timeout_at(deadline):
                        answers = await self._send([call for call, _, _ in batch])
                except Exception as error:  # whatever it is, nobody must wait for ever, or for one batch after another
                    batch, self._waiting = batch + self._waiting, []
                    answers = [error] * len(batch)
                self._observe_trip(began, answers)
                _resolve_futures(batch, answers)
                if self._waiting:
                    deadline = self._waiting[0][1]  # the first has waited longest
        finally:
            self._task = None

    async def _send(self, calls: list[_Call]) -> list[Any]:
        """Return the answer to each call, or the exception instead of it."""
        from redis.exceptions import NoScriptError, ResponseError

        try:
            try:
                return await self._send_batch(calls)
            except NoScriptError:
                await self.client.script_load(_SCRIPT)
                return await self._send_batch(calls)
        except ResponseError as error:
            return [error] * len(calls)

    def _observe_trip(self, began: float, answers: Sequence[object]) -> None:
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        if self._is_unreachable is not (len(failures) == len(answers)):
            self._is_unreachable = not self._is_unreachable
            _log_change(failures[0] if self._is_unreachable else None)
        if self.observe is not None:
            with contextlib.suppress(Exception):  # calls wait for what comes behind
                self.observe(asyncio.get_running_loop().time() - began, bool(failures))

    async def _send_batch(self, calls: list[_Call]) -> list[Any]:
        """Send calls and return their answers, on a connection of their own: a pool costs as much as a call."""
        from redis.exceptions import InvalidResponse, ResponseError

        connection = self._connection = self._connection or _create_connection(self.client)
        self.drop_lost_connection()
        try:
            await connection.send_packed_command([b"".join(_encode_calls(self.prefix, calls))])
            answers: list[Any] = await connection.read_response()
            if len(answers) != len(calls):
                raise InvalidResponse(f"{len(answers)} answers to {len(calls)} operations")
        except ResponseError:
            raise
        except BaseException:
            # what comes late must not be taken for the answer to another call
            await connection.disconnect(nowait=True)
            self.on_loss()
            raise
        return answers

    def drop_lost_connection(self) -> None:
        """Close the connection if the server has closed it. What is sent to it would be lost."""
        if self._connection is not None and _is_closed(self._connection):
            self._connection._close()
            self.on_loss()

    @property
    def client(self) -> Redis:
        """The client of the running event loop."""
        if self._client is None:
            self._client = _create_client(self.url, self._timeout)
        return self._client

    async def check(self) -> str | None:
        """Return why the store cannot be used, None if it can."""
        try:
            # a script is refused where the store is full or read-only
            await self.run("ping", b"\x90")
        except StoreUnavailable as error:
            return str(error)
        return None


def _log_change(failure: Exception | None) -> None:
    """Log that the store has begun to fail, or fails no more."""
    if failure is None:
        _log.warning("the store is back")
    else:
        _log.warning("%s; calls are answered with 503 until it is back", describe_failure(failure))


def _resolve_futures(batch: list[_Waiting], answers: list[Any]) -> None:
    for (_, _, future), answer in zip(batch, answers, strict=True):
        if future is None or future.done():  # a client that has left waits no more
            continue
        if isinstance(answer, Exception):
            future.set_exception(StoreUnavailable(describe_failure(answer)))
        else:
            future.set_result(answer)


def _create_connection(client: Any) -> Any:
    connection = client.connection_pool.make_connection()
    connection.socket_timeout = None  # time is limited for a batch as a whole
    return connection


def _is_closed(connection: Any) -> bool:
    """Return whether the server has closed a connection."""
    reader, writer = connection._reader, connection._writer
    return reader is not None and (reader.at_eof() or reader.exception() is not None or writer.is_closing())


def _encode_calls(prefix: str, calls: list[_Call]) -> Iterator[bytes]:
    """Yield a call of the script in the protocol of Redis."""
    yield b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n0\r\n" % (4 + 3 * len(calls), _DIGEST)
    parts: Iterator[str | bytes] = chain((prefix,), *calls)
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        yield b"$%d\r\n%b\r\n" % (len(raw), raw)


def _create_client(url: str, timeout: float) -> Redis:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    # a second try could book a call twice
    return Redis.from_url(
        translate_url(url),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        max_connections=16,
    )


def translate_url(url: str) -> str:
    """Return a URL as the client library knows it: Valkey speaks the protocol of Redis."""
    scheme, separator, rest = url.partition("://")
    return f"{_SCHEMES.get(scheme, scheme)}{separator}{rest}"


def name_store(url: str) -> str:
    """Return the place of a store without credentials, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def describe_failure(error: Exception) -> str:
    """Return in a few words why the store did not do what it should."""
    from redis import exceptions

    text = str(error).partition("\n")[0].strip().rstrip(".")
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
        return f"the store refuses the credentials ({text})"
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return "the store does not answer in time"
    if isinstance(error, exceptions.BusyLoadingError):
        return "the store is still loading its data"
    if isinstance(error, exceptions.ConnectionError | OSError):
        return f"the store cannot be reached ({text})" if text else "the store cannot be reached"
    if "OOM" in text or "maxmemory" in text:
        return "the store is full"
    if isinstance(error, exceptions.ReadOnlyError) or "READONLY" in text or "read only" in text:
        return "the store is read-only"
    return f"the store refuses: {text[:200]}"


def read_seed(url: str, prefix: str, timeout: float, source: str = "--store") -> str | None:
    """Return the seed of the mock that a store holds, None if it holds none.

    Raises ConfigError, in one line that begins with the `source` of the URL.
    """
    import redis

    try:
        with redis.Redis.from_url(
            translate_url(url),
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            protocol=2,
            decode_responses=True,
        ) as client:
            generation = client.hget(f"{prefix}:sessions", "default")
            state = generation and client.hget(f"{prefix}:s:default:{generation}:meta", "state")
    except (redis.exceptions.RedisError, OSError) as error:
        raise ConfigError(f"{source} {name_store(url)}: {describe_failure(error)}") from None
    return str(json.loads(str(state))["seed"]) if state else None


def check_server(url: str, timeout: float, source: str = "--store") -> dict[str, Any]:
    """Return what a server says of itself.

    Raises ConfigError, in one line that begins with the `source` of the URL, if it cannot be the store.
    """
    try:
        import redis
    except ImportError:
        raise ConfigError(f"{source} {_INSTALL}") from None
    try:
        with redis.Redis.from_url(
            translate_url(url), socket_timeout=timeout, socket_connect_timeout=timeout, protocol=2
        ) as client:
            info: dict[str, Any] = client.info()
            client.script_load(_SCRIPT)
    except ValueError as error:
        raise ConfigError(f"{source} {name_store(url)}: {error}") from None
    except TypeError:
        if not (query := urlsplit(url).query):
            raise
        names = ", ".join([part.partition("=")[0] for part in query.split("&")])
        raise ConfigError(f"{source} {name_store(url)}: its URL has a parameter that does not exist: {names}") from None
    except (redis.exceptions.RedisError, OSError) as error:
        raise ConfigError(f"{source} {name_store(url)}: {describe_failure(error)}") from None
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        message = f"the server is version {version}; use Redis 7.0, Valkey 7.2 or newer"
        raise ConfigError(f"{source} {name_store(url)}: {message}")
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled"):
        message = "the server is part of a cluster; use a single one, with replicas if you like"
        raise ConfigError(f"{source} {name_store(url)}: {message}")
    return info
