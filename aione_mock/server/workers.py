"""Run several processes that answer requests on one port.

The parent holds the listening sockets, starts the workers, and starts one again when it dies. It answers no request and
has no threads, so that a worker can be a fork of it: modules are loaded once, and all workers have the certificate that
was made at the start. uvicorn's own supervisor starts new interpreters, which inherit neither.

SIGTERM  all workers end what they have begun, then the parent ends
SIGINT   all end at once, and so they do at a second signal
SIGHUP   one worker after the other is replaced by a new one
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Any

from aione_mock.errors import ConfigError, MockError
from aione_mock.server.http import EXIT_TIMEOUT, UvicornServer

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_STARTS = 5
"""Processes that may die, one after the other, before any of them answers requests."""
_DELAY, _LONGEST_DELAY = 0.1, 10.0
"""Seconds until a worker that has died twice at once is started again; twice as long each further time."""
_STABLE_SECONDS = 10.0
"""Seconds for which a worker has to answer requests, so that the next one of its number starts without delay."""
_READY, _FAILED = "ready", "failed"
"""What a worker tells its parent."""
_log = logging.getLogger("aione_mock")


class Worker:
    """What a worker process knows about itself and its parent."""

    def __init__(self, number: int, messages: Connection, parent: int) -> None:
        """`parent` is the end of a pipe that is closed when the parent is gone."""
        self.number, self._messages, self._parent = number, messages, parent

    def announce(self, value: object) -> None:
        """Tell the parent that requests are answered. It hands `value` of one worker to its `on_ready`."""
        self._messages.send((_READY, value))

    def report_failure(self, reason: str) -> None:
        """Tell the parent why this process cannot serve."""
        self._messages.send((_FAILED, reason))

    def watch_parent(self, on_gone: Callable[[], None]) -> None:
        """Call `on_gone` in the running event loop when the parent has ended, however it did."""
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.remove_reader(self._parent)
            on_gone()

        loop.add_reader(self._parent, end)


class WorkerServer(UvicornServer):
    """The server of a worker process. It ends with its parent, which alone decides what a second signal means."""

    def __init__(self, worker: Worker, *args: Any) -> None:
        super().__init__(*args)
        self._worker = worker

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and watch the parent."""
        self._worker.watch_parent(lambda: self.handle_exit(signal.SIGTERM, None))
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End at the first signal. A terminal sends Ctrl-C to all processes, and the parent passes it on."""
        if not self.should_exit:
            super().handle_exit(sig, frame)


@dataclass(eq=False, slots=True)
class _Process:
    """A worker process as its parent sees it."""

    number: int
    process: ForkProcess
    messages: Connection
    started: float
    ready: bool = False
    failure: str = ""
    """Why it could not serve, in its own words."""
    kill_at: float | None = None
    """When it is killed, as it was told to end."""

    @property
    def retired(self) -> bool:
        """Whether it was told to end."""
        return self.kill_at is not None

    def describe_end(self) -> str:
        """Return why an ended process has ended."""
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return self.failure or f"it ended with {how}"


class Supervisor:
    """Keeps a number of worker processes running until a signal ends them."""

    def __init__(
        self,
        count: int,
        serve: Callable[[Worker], None],
        listeners: Sequence[socket.socket],
        *,
        on_ready: Callable[[Any], None],
        on_reload: Callable[[], None],
        on_end: Callable[[], None],
        drain: float = 0.0,
    ) -> None:
        """`serve` runs in each worker, and returns when the worker shall end. `on_ready` is called once all answer.

        `listeners` stay open while a worker is started again, so that its connections wait and are not refused.
        `on_reload` is called before the workers are replaced; with a MockError it prevents that. `on_end` is called
        last. `drain`: seconds that SIGTERM leaves to requests that are being answered.
        """
        if not hasattr(os, "fork"):
            raise ConfigError("--workers: this system cannot fork processes; use 1")
        self._count, self._serve, self._listeners, self._drain = count, serve, listeners, drain
        self._on_ready, self._on_reload, self._on_end = on_ready, on_reload, on_end
        self._processes: list[_Process] = []
        self._due: dict[int, float] = {}
        """When the worker of a number is started again."""
        self._renewals: list[int] = []
        """Numbers of workers that are to be replaced."""
        self._deaths: Counter[int] = Counter()
        """How often in a row the worker of a number has died at once."""
        self._failed_starts, self._announced, self._ended_by = 0, False, 0
        self._has_terminal = _has_terminal()
        self._parent_pipe = os.pipe()

    def run(self) -> None:
        """Serve until a signal comes, and end by that signal. Raises ConfigError if the workers cannot start."""
        with _receive_signals() as signals:
            try:
                for number in range(1, self._count + 1):
                    self._start(number)
                while self._processes or self._due:
                    self._run_once(signals)
            except BaseException:
                self._stop_at_once()
                raise
        self._on_end()
        signal.raise_signal(self._ended_by)

    def _run_once(self, signals: socket.socket) -> None:
        """Wait until something happens, and deal with it."""
        messages = [each.messages for each in self._processes]
        sentinels = {each.process.sentinel: each.process for each in self._processes}
        for source in wait([signals, *messages, *sentinels], self._find_timeout()):
            if isinstance(source, int):
                sentinels[source].join()
        # signals first: a worker may have ended because of the same Ctrl-C
        for number in _read_signals(signals):
            self._handle_signal(number)
        for process in tuple(self._processes):
            self._read_messages(process)
            if process.process.exitcode is not None:
                self._remove(process)
        self._kill_late()
        self._start_due()
        self._renew_next()

    def _find_timeout(self) -> float | None:
        """Return the seconds until something is to be done; None if nothing is."""
        times = [*self._due.values(), *[each.kill_at for each in self._processes if each.kill_at is not None]]
        return max(0.0, min(times) - time.monotonic()) if times else None

    # --- start

    def _start(self, number: int) -> None:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(
            target=_run_worker, args=(self._serve, Worker(number, sender, self._parent_pipe[0]), self._parent_pipe[1])
        )
        # a signal that came before the worker has handlers of its own would be taken for one of the parent
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            sender.close()
        self._processes.append(_Process(number, process, receiver, time.monotonic()))

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, at in self._due.items() if at <= now]:
            del self._due[number]
            self._start(number)

    def _read_messages(self, process: _Process) -> None:
        for kind, value in _receive_messages(process.messages):
            if kind == _FAILED:
                process.failure = value
            else:
                self._accept(process, value)

    def _accept(self, process: _Process, value: object) -> None:
        """Note that a worker answers requests. The one that it replaces ends."""
        process.ready, self._failed_starts = True, 0
        for other in self._processes:
            if other.number == process.number and other is not process and not other.retired:
                self._retire(other, signal.SIGTERM)
        if not self._announced and sum(each.ready for each in self._processes) == self._count:
            self._announced = True
            self._on_ready(value)

    # --- end of a process

    def _remove(self, process: _Process) -> None:
        """Forget a process that has ended. If nobody told it to, start another one."""
        self._processes.remove(process)
        process.messages.close()
        reason, who = process.describe_end(), f"worker {process.number} (process {process.process.pid})"
        process.process.close()
        if process.retired:
            return
        if not self._announced:
            self._check_start(reason, failed=bool(process.failure))
        if any(each.number == process.number for each in self._processes):
            if not process.ready:
                _log.warning("%s cannot start: %s; the workers that run go on", who, reason)
                self._renewals.clear()
            return
        delay = self._find_delay(process)
        self._due[process.number] = time.monotonic() + delay
        when = f"in {delay:g} seconds" if delay else "at once"
        _log.warning("%s is gone: %s; another one is started %s", who, reason, when)

    def _check_start(self, reason: str, *, failed: bool) -> None:
        """Raise ConfigError if the workers can never start."""
        self._failed_starts += 1
        if failed:
            raise ConfigError(reason)
        if self._failed_starts >= _STARTS:
            raise ConfigError(
                f"the workers cannot start: {_STARTS} in a row have died before they could serve; {reason}"
            )

    def _find_delay(self, process: _Process) -> float:
        """Return the seconds until the next process of that number is started."""
        stable = process.ready and time.monotonic() - process.started > _STABLE_SECONDS
        deaths = self._deaths[process.number] = 0 if stable else self._deaths[process.number] + 1
        return 0.0 if deaths < 2 else min(_LONGEST_DELAY, _DELAY * 2.0 ** (deaths - 2))

    # --- end

    def _handle_signal(self, number: int) -> None:
        if number in (signal.SIGINT, signal.SIGTERM) or (self._has_terminal and not _has_terminal()):
            self._end(number)
        elif number == signal.SIGHUP and not self._ended_by:
            self._renew()

    def _end(self, number: int) -> None:
        """End all workers; at a second signal at once."""
        if self._ended_by:
            self._stop_at_once()
            self._on_end()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._ended_by = number
        for listener in self._listeners:
            listener.close()
        self._due.clear()
        self._renewals.clear()
        for process in self._processes:
            self._retire(process, number)

    def _retire(self, process: _Process, number: int) -> None:
        """Tell a process to end. It is killed if it does not."""
        drain = 0.0 if number == signal.SIGINT else self._drain
        process.kill_at = time.monotonic() + drain + EXIT_TIMEOUT + 1
        assert process.process.pid is not None
        # before it is ready it has no handler, and ignores Ctrl-C
        os.kill(process.process.pid, number if process.ready and number != signal.SIGHUP else signal.SIGTERM)

    def _kill_late(self) -> None:
        now = time.monotonic()
        for process in self._processes:
            if process.kill_at is not None and process.kill_at <= now:
                process.process.kill()

    def _stop_at_once(self) -> None:
        for process in self._processes:
            process.process.kill()
        for process in self._processes:
            process.process.join(EXIT_TIMEOUT)

    # --- replacement

    def _renew(self) -> None:
        """Plan to replace all workers."""
        try:
            self._on_reload()
        except MockError as error:
            for line in str(error).splitlines():
                _log.warning("%s; the workers go on as they are", line)
            return
        self._deaths.clear()
        self._due = dict.fromkeys(self._due, 0.0)
        self._renewals = sorted({each.number for each in self._processes if not each.retired})

    def _renew_next(self) -> None:
        """Start the next replacement, unless a worker is about to start or to end."""
        if self._renewals and all(each.ready and not each.retired for each in self._processes):
            self._start(self._renewals.pop(0))


def _receive_messages(messages: Connection) -> Iterator[tuple[str, Any]]:
    """Yield what has arrived."""
    while True:
        try:
            if not messages.poll():
                return
            message = messages.recv()
        except (EOFError, OSError):  # the worker has ended; its sentinel says so
            return
        yield message


def _run_worker(serve: Callable[[Worker], None], worker: Worker, write_end: int) -> None:
    """Serve in a process that was just forked."""
    os.close(write_end)
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        serve(worker)
    except MockError as error:
        worker.report_failure(str(error))
        sys.exit(2)


@contextlib.contextmanager
def _receive_signals() -> Iterator[socket.socket]:
    """Yield a socket from which the numbers of signals are read, one byte each."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        # nohup has made the process deaf to SIGHUP
        heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        handlers = {number: signal.signal(number, lambda *_: None) for number in {*heard, signal.SIGINT}}
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _read_signals(signals: socket.socket) -> bytes:
    try:
        return signals.recv(1 << 10)
    except BlockingIOError:
        return b""


def _has_terminal() -> bool:
    """Return whether a terminal controls this process. One that is closed sends SIGHUP, and controls nothing then."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
