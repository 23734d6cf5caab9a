"""Generate load: wrk for requests, an asyncio client for paced streams."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast

_LUA = """
local n = %(first)d
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %(key)s"
local body, words = %(body)s, {}
for word in ("%(words)s"):gmatch("%%a+") do words[#words + 1] = word end
local function phrase()
  local rest, chosen = n * %(stride)d %% %(modulus)d, {}
  for place = 1, %(places)d do
    chosen[place], rest = words[rest %% #words + 1], math.floor(rest / #words)
  end
  return table.concat(chosen, " ")
end
function request()
  n = n + 1
  return wrk.format(nil, nil, nil, (body:gsub("@[@~]", function(at) return at == "@@" and tostring(n) or phrase() end)))
end
function done(summary, latency, requests)
  io.write(string.format('{"seconds": %%f, "requests": %%d, "wrong": %%d, "p99_ms": %%f}\\n',
    summary.duration / 1e6, summary.requests, summary.errors.status + summary.errors.read + summary.errors.timeout,
    latency:percentile(99) / 1000))
end
"""


_WORDS = (
    "river copper lantern museum pepper harbour violin window garden bottle winter planet camera bridge silver ticket "
    "forest kettle marble engine carpet island pencil castle orange mirror rocket butter temple puzzle valley button "
    "market saddle tunnel feather candle glacier hammer basket compass pyramid blanket volcano trumpet orchard cabinet "
    "penguin sandwich notebook"
)
_STRIDE, _MODULUS, _PLACES = 48271, 2**31 - 1, 6
"""Request numbers are multiplied by the stride, modulo the modulus, and the result is written as six words."""
_MAX_REQUESTS = 10_000_000
"""Largest number of requests in a run."""
_RUNS = count(1)
"""Numbers of runs, so that no two runs send the same request."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers per second, and the number of failed requests."""

    per_second: float
    wrong: int
    p99_ms: float


def pin_command(core: int, command: Sequence[str]) -> list[str]:
    """Return the command pinned to one core, if `taskset` is installed."""
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") else list(command)


def name_generator() -> str:
    """Return the name of the load generator."""
    return "wrk" if shutil.which("wrk") else "asyncio (wrk is not installed; figures are a lower bound)"


def send_requests(url: str, body: str, key: str, seconds: int, connections: int = 32) -> Rate:
    """Send requests as fast as the server answers. In the body, `@@` becomes another number and `@~` other words."""
    if shutil.which("wrk") is None:
        return asyncio.run(_send_with_asyncio(url, body, key, seconds, connections))
    with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as script:
        known = {"words": _WORDS, "stride": _STRIDE, "modulus": _MODULUS, "places": _PLACES}
        script.write(_LUA % {"key": key, "body": json.dumps(body), "first": next(_RUNS) * _MAX_REQUESTS, **known})
    try:
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, "--latency", url]
        done = subprocess.run(pin_command(1, command), capture_output=True, text=True, timeout=seconds + 60, check=True)
    finally:
        Path(script.name).unlink()
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return Rate(figures["requests"] / figures["seconds"], figures["wrong"], figures["p99_ms"])


async def _send_with_asyncio(url: str, body: str, key: str, seconds: int, connections: int) -> Rate:
    host, port, path = _split_url(url)
    loop = asyncio.get_running_loop()
    end, done, wrong, numbers = loop.time() + seconds, 0, 0, count(next(_RUNS) * _MAX_REQUESTS)

    async def send_until_end() -> None:
        nonlocal done, wrong
        reader, writer = await asyncio.open_connection(host, port)
        while loop.time() < end:
            writer.write(_build_request(host, path, _fill_body(body, next(numbers)), key))
            head = await reader.readuntil(b"\r\n\r\n")
            wrong += b" 200 " not in head.split(b"\r\n", 1)[0]
            if b"chunked" in head:
                while (size := int((await reader.readline()).strip(), 16)) > 0:
                    await reader.readexactly(size + 2)
                await reader.readline()
            else:
                length = next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:"))
                await reader.readexactly(int(length.split(b":")[1]))
            done += 1
        writer.close()

    start = loop.time()
    await asyncio.gather(*[send_until_end() for _ in range(connections)])
    return Rate(done / (loop.time() - start), wrong, 0.0)


def _fill_body(body: str, number: int) -> str:
    """Return the body of the request with this number."""
    words, rest, chosen = _WORDS.split(), number * _STRIDE % _MODULUS, list[str]()
    for _ in range(_PLACES):
        rest, at = divmod(rest, len(words))
        chosen.append(words[at])
    return body.replace("@@", str(number)).replace("@~", " ".join(chosen))


def _split_url(url: str) -> tuple[str, int, str]:
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    return host, int(port), f"/{path}"


def _build_request(host: str, path: str, body: str, key: str) -> bytes:
    raw = body.encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


@dataclass(frozen=True, slots=True)
class Lag:
    """How late events of paced streams arrived, in milliseconds."""

    streams: int
    events: int
    p50_ms: float
    p99_ms: float
    broken: int
    """Streams that ended before their last event."""
    peak_mb: float = 0.0
    """Highest memory of the server while they ran."""


class _Stream(asyncio.Protocol):
    """Record when each event of a paced stream arrives."""

    def __init__(self, request: bytes, done: asyncio.Future[list[float]]) -> None:
        self._request, self._done = request, done
        self._times: list[float] = []
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        self._times += [now] * data.count(b"\ndata: " if b"HTTP/1.1" in data[:9] else b"data: ")
        if data.endswith(b"0\r\n\r\n") and not self._done.done():
            self._done.set_result(self._times)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result([])


async def _measure_lag(url: str, body: str, key: str, streams: int, rate: float, ramp: float) -> Lag:
    host, port, path = _split_url(url)
    loop = asyncio.get_running_loop()

    async def open_stream(number: int) -> list[float]:
        # independent clients start at different moments of a period
        await asyncio.sleep(ramp * number / streams)
        done: asyncio.Future[list[float]] = loop.create_future()
        request = _build_request(host, path, _fill_body(body, number), key)
        transport, _ = await loop.create_connection(lambda: _Stream(request, done), host, port)
        try:
            return await asyncio.wait_for(done, 120)
        finally:
            transport.close()

    found = await asyncio.gather(*[open_stream(number) for number in range(streams)])
    # the first event starts the schedule of a stream; the last two (finish, end) are due at the same time
    late = sorted(
        1000 * (at - times[0] - place / rate) for times in found for place, at in enumerate(times[:-2]) if place
    )
    pick = [late[int(len(late) * share)] for share in (0.5, 0.99)] if late else [0.0, 0.0]
    return Lag(streams, len(late), pick[0], pick[1], sum(not times for times in found))


def measure_lag(
    url: str,
    body: str,
    key: str,
    streams: int,
    rate: float,
    ramp: float = 2.0,
    read_memory: Callable[[], float] = lambda: 0.0,
) -> Lag:
    """Open many streams at once from another process, on the core that the server does not use.

    The streams start within `ramp` seconds. `read_memory` returns the memory of the server in megabytes.
    """
    arguments = [url, body, key, str(streams), str(rate), str(ramp)]
    command = pin_command(1, [sys.executable, "-m", "benchmarks.load", *arguments])
    peak, end = read_memory(), time.monotonic() + 120
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if time.monotonic() > end:
                process.kill()
                raise SystemExit(f"{streams} streams at {rate} tokens/s did not end within 120 s")
            peak = max(peak, read_memory())
            time.sleep(0.2)
        assert process.stdout is not None
        figures = json.loads(process.stdout.read())
    return Lag(**{**figures, "peak_mb": peak})


def _main() -> None:
    import uvloop

    url, body, key, streams, rate, ramp = sys.argv[1:]
    lag = uvloop.run(_measure_lag(url, body, key, int(streams), float(rate), float(ramp)))
    print(json.dumps({name: getattr(lag, name) for name in Lag.__slots__}))


if __name__ == "__main__":
    _main()
