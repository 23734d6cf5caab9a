"""Client code of this process put through the trials of `verdicts`."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.errors import ConfigError
from aione_mock.seed import Seed
from aione_mock.testing.messages import read_on
from aione_mock.testing.resilience import Report, Rules, Run, Setting, examine
from aione_mock.testing.servers import start
from aione_mock.testing.session import MockSession

_LEISURE = 30.0
"""Seconds that a trial may take beside the client's patience."""


def assert_resilient(
    call: Callable[..., object],
    *,
    mock: MockSession | None = None,
    only: Sequence[str] = (),
    patience: float = 10.0,
    attempts: int = 5,
) -> Report:
    """Run client code under faults and judge it. Raises AssertionError with a table of what to change.

    `call` asks the gateway something and returns the answer; it may be asynchronous. If it takes an argument it gets
    the session, with `base_url`, `openai_base_url` and `api_key`, for which it makes its client anew each time.
    `only` names verdicts, `patience` are the seconds within which it must give up on silence, `attempts` how often it
    may send the same request. Raises ConfigError when the client fails without any fault.
    """
    __tracebackhide__ = True
    if mock is None:
        with start(auth="any") as server, server.session("resilience", api_key=fresh_key(server.url)) as own:
            return assert_resilient(call, mock=own, only=only, patience=patience, attempts=attempts)
    setting = Setting(patience, attempts, mock.api_key)
    try:
        report = examine(_Bench(mock, call, patience).run, setting, only)
    except ConfigError as error:
        raise ConfigError(f"assert_resilient: {error}") from None
    finally:
        mock.reset()
    if report.failed:
        count_ = len(report.failed)
        head = (
            f"the client is not resilient: {count_} of {len(report.findings)} verdicts {'is' if count_ == 1 else 'are'}"
        )
        raise AssertionError(f"{head} against it\n\n{report}\n\n{read_on('Is a client resilient?')}")
    return report


@dataclass(slots=True)
class _Ending:
    result: str = ""
    error: str | None = None


class _Bench:
    """Runs the client in a thread of its own, so that one that hangs can be left behind."""

    def __init__(self, mock: MockSession, call: Callable[..., object], patience: float) -> None:
        self._mock, self._call, self._patience = mock, call, patience
        self._usual: float | None = None

    def run(self, rules: Rules) -> Run:
        """What the client does when these rules are in force."""
        self._mock.reset()
        self._mock.run()
        self._mock.set_rules(rules)
        ending = _Ending()
        thread = threading.Thread(target=self._live, args=(ending,), name="client under test", daemon=True)
        began = SYSTEM_CLOCK.timestamp()
        with _logged() as log:
            thread.start()
            thread.join(self._limit(rules))
        seconds = SYSTEM_CLOCK.timestamp() - began
        self._usual = seconds if self._usual is None else self._usual
        calls = tuple(self._mock.calls)
        return Run(calls, ending.result, ending.error, thread.is_alive(), seconds, "\n".join(log))

    def _limit(self, rules: Rules) -> float:
        return self._patience + (self._usual or 0.0) if waits(rules) else self._patience + _LEISURE

    def _live(self, ending: _Ending) -> None:
        try:
            ending.result = text_of(self._called())
        except BaseException as error:  # whatever the client lets out is what it tells its caller
            ending.error = f"{type(error).__name__}: {error}"[:300]

    def _called(self) -> object:
        takes = [p for p in inspect.signature(self._call).parameters.values() if p.default is p.empty]
        result = self._call(self._mock) if takes else self._call()
        if inspect.isawaitable(result):
            return asyncio.run(_awaited(result))
        return result


async def _awaited(result: Any) -> object:
    return await result


def waits(rules: Rules) -> bool:
    """Whether the rules keep a client waiting for longer than it should."""
    faults = [fault["name"] for rule in rules for fault in rule["then"].get("faults", ())]
    return "stall" in faults or any("delay" in rule["then"] for rule in rules)


def text_of(result: object) -> str:
    """What a client returned, as text: strings as they are, iterators run to their end, models as JSON."""
    if result is None or isinstance(result, str):
        return result or ""
    if isinstance(result, Iterator):
        return "".join(text_of(part) for part in result)
    if callable(dump := getattr(result, "model_dump_json", None)):
        return str(dump())
    try:
        return orjson.dumps(result, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        return repr(result)


@contextmanager
def _logged() -> Iterator[list[str]]:
    """All that is logged meanwhile, at every level."""
    lines: list[str] = []
    root, handler = logging.getLogger(), _Lines(lines)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        # a message that cannot be put together is the client's own trouble
        try:
            self._lines.append(self.format(record))
        except Exception:
            self._lines.append(str(record.msg))


def fresh_key(url: str) -> str:
    """A key of one examination alone, so that it is recognised wherever it turns up."""
    return f"sk-nex-{Seed.of('verdicts').draw_token(16, 'key', url)}"
