"""Many streams at once, timed: a program of its own, so that the client's work is not the server's.

    python stream_client.py PORT STREAMS RAMP_SECONDS TTFT GAP < request.bin

Each stream is a raw HTTP request on a connection of its own. The lag of an event is its arrival against
(request sent + TTFT + GAP × its number). Prints one line of JSON, times in milliseconds; `machine` is how late this
process itself was woken when it had asked to be, which no server can do anything about.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from array import array
from collections.abc import Sequence
from typing import Any


class Stream(asyncio.Protocol):
    """One request and the lags of its events."""

    def __init__(self, request: bytes, ttft: float, gap: float, lags: array[float]) -> None:
        self.request, self.first, self.gap, self.lags = request, ttft, gap, lags
        self.due = 0.0
        self.events = 0
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self) -> None:
        """Send the request."""
        self.due = time.perf_counter() + self.first
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        for _ in range(data.count(b"data: {")):
            self.lags.append(now - self.due)
            self.due += self.gap
            self.events += 1
        if data.endswith(b"0\r\n\r\n") and not self.over.done():
            self.over.set_result("whole")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result("lost")


async def tick(late: array[float]) -> None:
    """Measure for ever how late a timer of 10 ms is."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(0.01)
        late.append(time.perf_counter() - start - 0.01)


async def load(port: int, count: int, ramp: float, ttft: float, gap: float, request: bytes) -> dict[str, object]:
    """Run all streams; what was seen."""
    loop, lags = asyncio.get_running_loop(), array("d")
    streams = []
    for _ in range(count):
        _, stream = await loop.create_connection(lambda: Stream(request, ttft, gap, lags), "127.0.0.1", port)
        streams.append(stream)
    late: array[float] = array("d")
    ticking = asyncio.ensure_future(tick(late))
    start = loop.time() + 0.2
    for number, stream in enumerate(streams):
        loop.call_at(start + ramp * number / count, stream.ask)
    ends = await asyncio.gather(*(stream.over for stream in streams))
    ticking.cancel()
    seen = sorted(lags)

    def at(part: float, values: Sequence[float] = seen) -> float:
        return round(values[min(len(values) - 1, int(part * len(values)))] * 1000, 1)

    return {
        "whole": ends.count("whole"),
        "events": len(seen),
        "fewest": min(stream.events for stream in streams),
        "p50": at(0.5),
        "p99": at(0.99),
        "worst": at(1.0),
        "earliest": at(0.0),
        "machine": at(0.99, sorted(late)),
    }


if __name__ == "__main__":
    gc.disable()
    port, count, *times = sys.argv[1:]
    asked = sys.stdin.buffer.read()
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        run = asyncio.run  # type: ignore[assignment]
    print(json.dumps(run(load(int(port), int(count), *map(float, times), asked))))
