"""Run a function of this process as the client, under faults."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson

from aione_mock.errors import ConfigError
from aione_mock.testing.arguments import COUNT, FUNCTION, SECONDS, TEXTS, check_argument
from aione_mock.testing.messages import refer_to_guide
from aione_mock.testing.resilience.observation import Thresholds
from aione_mock.testing.resilience.progress import open_progress
from aione_mock.testing.resilience.report import ResilienceReport
from aione_mock.testing.resilience.runner import ClientObserver, ClientRun, run_checks

if TYPE_CHECKING:
    from aione_mock.testing.session import MockSession


def check_client(
    call: Callable[..., object],
    mock: MockSession,
    *,
    only: Sequence[str] = (),
    include: Sequence[str] = (),
    patience: float = 10.0,
    attempts: int = 5,
) -> ResilienceReport:
    """Run client code under the faults of a session and check it. See `aione_mock.assert_resilient`."""
    __tracebackhide__ = True
    _check_arguments(call, only, include, patience, attempts)
    observer = ClientObserver(mock, lambda limit: _run_in_thread(call, mock, limit), patience)
    progress = open_progress("assert_resilient")
    try:
        report = run_checks(observer.observe, Thresholds(patience, attempts, mock.api_key), only, include, progress)
    except ConfigError as error:
        raise ConfigError(f"assert_resilient: {error}") from None
    finally:
        progress.clear()
        mock.reset()
    if report.failed:
        head = f"the client is not resilient: {len(report.failed)} of {len(report.results)} checks failed"
        raise AssertionError(f"{head}\n\n{report}\n\n{refer_to_guide('Test the resilience of a client')}")
    return report


def _check_arguments(call: object, only: object, include: object, patience: object, attempts: object) -> None:
    __tracebackhide__ = True
    where = "assert_resilient()"
    for name, value, kind in (
        ("call", call, FUNCTION),
        ("only", only, TEXTS),
        ("include", include, TEXTS),
        ("patience", patience, SECONDS),
        ("attempts", attempts, COUNT),
    ):
        check_argument(where, name, value, kind)


def _run_in_thread(call: Callable[..., object], mock: MockSession, limit: float) -> ClientRun:
    """Run the client in a new thread, so that one that hangs can be abandoned."""
    run = ClientRun()
    thread = threading.Thread(target=_run_client, args=(call, mock, run), name="client under test", daemon=True)
    with _capture_log() as log:
        thread.start()
        thread.join(limit)
    return ClientRun(run.result, run.error, thread.is_alive(), "\n".join(log))


def _run_client(call: Callable[..., object], mock: MockSession, run: ClientRun) -> None:
    try:
        required = [p for p in inspect.signature(call).parameters.values() if p.default is p.empty]
        result = call(mock) if required else call()
        if inspect.isawaitable(result):
            result = asyncio.run(_await(result))
        run.result = to_text(result)
    except BaseException as error:  # whatever the client raises is what its caller sees
        run.error = f"{type(error).__name__}: {error}"[:300]


async def _await(awaitable: Awaitable[object]) -> object:
    return await awaitable


def to_text(result: object) -> str:
    """Return what a client returned as text: iterators are consumed, models serialized as JSON."""
    if result is None or isinstance(result, str):
        return result or ""
    if isinstance(result, Iterator):
        return "".join(to_text(part) for part in result)
    if callable(dump := getattr(result, "model_dump_json", None)):
        return str(dump())
    try:
        return orjson.dumps(result, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        return repr(result)


@contextmanager
def _capture_log() -> Iterator[list[str]]:
    """Collect all log lines of this process, at every level. Other handlers get no more lines than usual."""
    lines: list[str] = []
    handler = _LineCollector(lines)
    _opener.open(handler)
    try:
        yield lines
    finally:
        _opener.close(handler)


class _LogOpener(logging.Filter):
    """Set the root logger to DEBUG while there are collectors; clients that run at the same time share it.

    As a filter of the other handlers, it lets pass what is logged at the usual level.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._root, self._level = threading.Lock(), logging.getLogger(), logging.WARNING
        self._collectors: list[logging.Handler] = []
        self._others: list[logging.Handler] = []

    def open(self, collector: logging.Handler) -> None:
        with self._lock:
            if not self._collectors:
                self._level, self._others = self._root.level, list(self._root.handlers)
                for other in self._others:
                    other.addFilter(self)
                self._root.setLevel(logging.DEBUG)
            self._collectors.append(collector)
            self._root.addHandler(collector)

    def close(self, collector: logging.Handler) -> None:
        with self._lock:
            self._root.removeHandler(collector)
            self._collectors.remove(collector)
            if not self._collectors:
                self._root.setLevel(self._level)
                for other in self._others:
                    other.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        logger = logging.getLogger(record.name)
        while logger.parent is not None:
            if logger.level:
                return record.levelno >= logger.level
            logger = logger.parent
        return record.levelno >= self._level


_opener = _LogOpener()


class _LineCollector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record))
        except Exception:  # the client's own mistake: a message that does not fit its arguments
            self._lines.append(str(record.msg))
