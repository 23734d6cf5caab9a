"""Log one line for each request when its answer has ended: text for a terminal, or JSON.

Calls of the control API are left out unless they are refused.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TextIO

import orjson

from aione_mock.clock import SYSTEM_CLOCK
from aione_mock.settings import read_variable
from aione_mock.structs import frozen, to_dict
from aione_mock.text.credentials import mask_text
from aione_mock.text.escaping import escape_unprintable

if TYPE_CHECKING:
    from aione_mock.server.journal import Exchange

_MAX_CHARS, _MARGIN = 300, 1000
"""Characters of a part of a line that a client chose, and those behind it by which a credential may be known."""
_MAX_WAITING = 10_000
"""Lines that wait while whoever reads them is slower than the requests; later ones are dropped."""
_PIPE_BYTES = 4096
"""Bytes that go into a pipe undivided, also if other workers write to it at the same time."""
_INTERVAL_SECONDS = 0.02
_END_SECONDS = 1.0
"""Seconds that the last lines have at the end."""
_COLOURS = {2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[31m"}
"""Colours by the first digit of a status."""
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


@frozen
class LogEntry:
    """What the log says about a request, without credentials. The names are those of the JSON format."""

    time: float
    """When it ended, in Unix seconds."""
    method: str
    path: str
    status: int
    """What was sent; 0 if nothing was."""
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    duration_ms: float
    operation: str | None
    session: str
    key: str | None
    request_id: str
    rule: str | None
    scenario: str | None
    refused: str | None
    """Why it was refused: the name of the error, and its message."""
    stream: bool
    client_left: bool
    """Whether the client left before the end of the answer."""
    cut: bool
    """Whether the server ended before the end of the answer."""


def make_entry(exchange: Exchange, status: int, *, sent: bool, server_ended: bool = False) -> LogEntry:
    """Return what to log about an exchange.

    `sent`: whether the answer was sent to its end. `server_ended`: whether the server had closed all connections.
    """
    request, operation, usage, refused = exchange.request, exchange.operation, exchange.usage, exchange.refusal
    model = exchange.model or (exchange.read_model() if refused else None)
    return LogEntry(
        SYSTEM_CLOCK.timestamp(),
        request.method,
        # a path without parameters holds nothing of the client's
        request.path if operation is not None and operation.path == request.path else _mask(exchange, request.path),
        status,
        # a wrong key in place of a model may have no known form
        model and (_mask(exchange, model) if refused else _mask_name(model[: _MAX_CHARS + _MARGIN])),
        None if usage is None else usage.prompt,
        None if usage is None else usage.completion,
        round(exchange.duration_ms, 1),
        exchange.operation_id,
        _mask_name(request.session_name) if request.session_name else "default",
        exchange.key_label,
        exchange.request_id,
        exchange.rule and _mask_name(exchange.rule),
        exchange.scenario_label,
        None if refused is None else _mask(exchange, refused),
        exchange.stream,
        not sent and not server_ended,
        not sent and server_ended,
    )


def _mask(exchange: Exchange, text: str) -> str:
    """Return the beginning of a text, without credentials of known forms or those of the request."""
    return exchange.mask.mask_text(text[: _MAX_CHARS + _MARGIN])[:_MAX_CHARS]


@lru_cache(256)
def _mask_name(name: str) -> str:
    return mask_text(name)[:_MAX_CHARS]


def format_json(entry: LogEntry) -> str:
    """Return an entry as one object of JSON. Names and types never change; what does not apply is null."""
    at = datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="milliseconds")
    members = to_dict(entry) | {"time": at.replace("+00:00", "Z")}
    return escape_unprintable(orjson.dumps(members).decode())


def format_text(entry: LogEntry, *, colours: bool = False) -> str:
    """Return an entry as a line of text in columns."""
    at, status = _format_time(int(entry.time)), str(entry.status or "---")
    if colours:
        at, status = _DIM + at + _PLAIN, _COLOURS.get(entry.status // 100, "") + status + _PLAIN
    tokens = "" if entry.input_tokens is None else f"{entry.input_tokens} in {entry.output_tokens} out"
    call = f"{entry.method:7} {escape_unprintable(entry.path):32}"
    figures = f"{escape_unprintable(entry.model or '-'):20} {tokens:>18} {entry.duration_ms:>9.1f} ms"
    return f"{at}  {call} {status}  {figures}  {'; '.join(_list_notes(entry))}".rstrip()


@lru_cache(4)
def _format_time(second: int) -> str:
    return datetime.fromtimestamp(second).strftime("%H:%M:%S")


def _list_notes(entry: LogEntry) -> list[str]:
    notes: list[str] = []
    if entry.scenario is not None:
        notes.append(f"{'' if entry.rule in (None, 'header') else f'rule {entry.rule}: '}{entry.scenario}")
    if entry.refused not in (None, entry.scenario):
        notes.append(entry.refused or "")
    if entry.client_left:
        notes.append("the client left")
    if entry.cut:
        notes.append("cut, because the server ended")
    if entry.session != "default":
        notes.append(f"session {entry.session}")
    return [escape_unprintable(note) for note in notes]


def open_access_log(log_format: str) -> AccessLog:
    """Return a log on standard error, with colours if that is a terminal that shows them."""
    if log_format == "json":
        return AccessLog(sys.stderr, format_json)
    colours = sys.stderr.isatty() and read_variable("NO_COLOR") is None and read_variable("TERM") != "dumb"
    return AccessLog(sys.stderr, partial(format_text, colours=colours))


class AccessLog:
    """The log of a server's requests.

    A thread writes the lines, so that neither a terminal that is paused nor a pipe that nobody reads stops the server.
    """

    def __init__(self, stream: TextIO, format_entry: Callable[[LogEntry], str]) -> None:
        self._stream, self._format = stream, format_entry
        self._lines: deque[str] = deque()
        self._dropped, self._closing = 0, False
        self._pending = threading.Event()
        self._thread = threading.Thread(target=self._write_lines, name="access log", daemon=True)
        self._thread.start()

    def add(self, exchange: Exchange, status: int, *, sent: bool, server_ended: bool = False) -> None:
        """Log an exchange that has ended."""
        if exchange.protocol == "control" and status < 400:
            return
        if len(self._lines) >= _MAX_WAITING:
            self._dropped += 1
            return
        self._lines.append(self._format(make_entry(exchange, status, sent=sent, server_ended=server_ended)))
        if not self._pending.is_set():
            self._pending.set()

    def close(self) -> None:
        """Write what waits, as far as it is read in time."""
        self._closing = True
        self._pending.set()
        self._thread.join(_END_SECONDS)

    def _write_lines(self) -> None:
        pause = threading.Event()
        # the terminal or the reader may be gone
        with contextlib.suppress(OSError, ValueError):
            while not self._closing or self._lines:
                self._pending.wait()
                if not self._closing:
                    pause.wait(_INTERVAL_SECONDS)
                self._pending.clear()
                self._write_batch()

    def _write_batch(self) -> None:
        batch = [self._lines.popleft() for _ in range(len(self._lines))]
        dropped, self._dropped = self._dropped, 0
        if dropped:
            batch.append(f"{dropped} lines were dropped, because they were not read in time")
        for text in _join_lines(batch):
            self._stream.write(text)
            self._stream.flush()


def _join_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield texts of whole lines, each of them short enough to be written to a pipe undivided."""
    text, size = "", 0
    for line in lines:
        length = len(line.encode(errors="replace")) + 1
        if text and size + length > _PIPE_BYTES:
            yield text
            text, size = "", 0
        text, size = f"{text}{line}\n", size + length
    if text:
        yield text
