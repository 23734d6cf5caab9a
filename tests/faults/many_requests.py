"""Many different requests to an app in this process; a program, so that its memory is its own.

`python -m tests.faults.many_requests 100000` makes so many; without a number, twenty thousand.

Prints one line of JSON: resident MiB after half, three quarters and all of them, and what was left behind.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from typing import Any

from aione_mock.server.app import create_app
from aione_mock.settings import Settings

KEY = b"sk-nex-demo-every-model"
COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
FATES = (None, None, b"cut; after=2", b"internal_error", b"crlf, bom", b"model_not_found", b"pace; tps=1000000000")
APP = create_app(Settings())


def request(number: int) -> tuple[str, tuple[bytes, bytes], Any]:
    """Path, credential and body: three protocols, streamed or not, and the console."""
    words, kind = f"Question {number}: what is {number} and {number}?", number % 4
    messages, stream = [{"role": "user", "content": words}], number % 8 < 4
    if kind == 0:
        body = {"model": "gpt-5.2", "messages": messages, "stream": stream, "max_tokens": 40}
        return "/v1/chat/completions", (b"authorization", b"Bearer " + KEY), body
    if kind == 1:
        contents = [{"parts": [{"text": words}]}]
        return "/v1beta/models/gemini-2.5-flash:generateContent", (b"x-goog-api-key", KEY), {"contents": contents}
    if kind == 2:
        body = {"model": "claude-sonnet-4-6", "messages": messages, "stream": stream, "max_tokens": 40}
        return "/v1/messages", (b"x-api-key", KEY), body
    return "/api/v1/gateway/models", (b"authorization", b"Bearer " + KEY), None


def choose_scenario(number: int, body: Any) -> list[tuple[bytes, bytes]]:
    """Return the scenario of a request, if it has one."""
    chosen = FATES[number % len(FATES)] if body else None
    if chosen is None or (chosen.startswith((b"cut", b"crlf")) and not body.get("stream")):
        return []
    return [(b"x-mock-scenario", chosen)]


async def ask(number: int) -> None:
    """Send one request and discard its response."""
    path, credential, body = request(number)
    raw = b"" if body is None else json.dumps(body).encode()
    asked = iter([{"type": "http.request", "body": raw, "more_body": False}])

    async def receive() -> Any:
        return next(asked, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        pass

    headers = [credential, (b"content-type", b"application/json"), *choose_scenario(number, body)]
    scope = {
        "type": "http",
        "method": "POST" if body else "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"" if body else f"n={number}".encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    await APP(scope, receive, send)


def resident() -> float:
    """Return the MiB that this process uses."""
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


async def main() -> None:
    """Send requests and report."""
    sizes = []
    for number in range(1, COUNT + 1):
        await ask(number)
        # nothing here ever waits; let what a request leaves to the loop end, as a server does between two requests
        await asyncio.sleep(0)
        if number in (COUNT // 2, COUNT * 3 // 4, COUNT):
            sizes.append(resident())
    session = APP.sessions.get()
    seen = {
        "sizes": sizes,
        "calls": session.calls,
        "statuses": sorted({entry.status for entry in session.journal}),
        "tasks": len(asyncio.all_tasks()),
        "under_way": session.in_flight,
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main())
