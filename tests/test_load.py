"""Many clients at once: they leave in mid-stream and leave nothing behind, and change keys without losing a change."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from tests.conftest import KEY
from tests.test_cli import Running, run_server
from tests.timing import PATIENCE, wait_until

RESET = struct.pack("ii", 1, 0)
LINUX = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
BODY = orjson.dumps(
    {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "Why do cats purr?"}]}
)
SCENARIOS = ("pace; ttft=0.01; tps=5", "pace; ttft=30", "stall; after=1; then=hang", "stall; after=1; seconds=30", "")
CONSOLE = {"authorization": "Bearer nex-console-tech"}
KEYS = "/api/v1/gateway/keys"


def count_descriptors(running: Running) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def measure_memory(running: Running) -> int:
    """Return the megabytes that a server holds."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) >> 10


async def leave(port: int, number: int) -> None:
    """Ask for a stream, read the beginning of it if there is one, and go away, half of the time rudely."""
    scenario = SCENARIOS[number % len(SCENARIOS)]
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\nx-mock-scenario: {scenario}\r\ncontent-length: {len(BODY)}\r\n\r\n"
    )
    if not scenario:
        head = head.replace("x-mock-scenario: \r\n", "")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # some have sent more requests, which wait
    writer.write((head.encode() + BODY) * (1 + number % 3))
    if "ttft=30" not in scenario:
        assert await reader.read(100)
    if number % 2:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def leave_often(port: int, count: int) -> None:
    limit = asyncio.Semaphore(100)

    async def leave_in_turn(number: int) -> None:
        async with limit:
            await leave(port, number)

    await asyncio.gather(*[leave_in_turn(number) for number in range(count)])


@pytest.mark.slow
@LINUX
def test_ten_thousand_clients_that_leave_leave_nothing_behind() -> None:
    with (
        run_server("--journal-entries", "100") as running,
        httpx2.Client(base_url=running.url, trust_env=False) as http,
    ):
        port = int(running.url.rpartition(":")[2])

        def count_streams() -> int:
            return int(http.get("/_mock/stats").json()["streams_open"])

        assert count_streams() == 0
        asyncio.run(leave_often(port, 5000))
        assert wait_until(lambda: count_streams() == 0), count_streams()
        assert wait_until(lambda: count_descriptors(running) < 30), count_descriptors(running)
        descriptors, memory = count_descriptors(running), measure_memory(running)
        # as many again: the most that were open at a time decide what a process keeps from the system
        asyncio.run(leave_often(port, 5000))
        assert wait_until(lambda: count_streams() == 0), count_streams()
        assert wait_until(lambda: count_descriptors(running) <= descriptors), count_descriptors(running)
        assert measure_memory(running) - memory < 20
        assert http.get("/_mock/health").status_code == 200


class KeyClient:
    """Changes keys over many connections and remembers what the server confirmed."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.made: dict[str, str] = {}
        """Keys by their id, each with its newest secret."""
        self.rotated: Counter[str] = Counter()
        self.deleted: set[str] = set()

    async def ask(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        return await self.http.request(method, path, json=body, headers=CONSOLE)

    async def live(self, number: int) -> None:
        """Make a key, and rotate, change or delete it."""
        rng = random.Random(number)
        answer = await self.ask("POST", KEYS, {"name": f"Load {number}"})
        assert answer.status_code == 201, answer.text
        key = answer.json()
        self.made[key["id"]] = key["key"]
        for _ in range(rng.randint(0, 2)):
            answer = await self.ask("PUT", f"{KEYS}/{key['id']}/rotate", {"grace_hours": 0})
            assert answer.status_code == 200, answer.text
            self.made[key["id"]] = answer.json()["key"]
            self.rotated[key["id"]] += 1
        if rng.random() < 0.4:
            assert (await self.ask("DELETE", f"{KEYS}/{key['id']}")).status_code == 204
            self.deleted.add(key["id"])


async def list_keys(http: httpx2.AsyncClient) -> list[str]:
    """List the ids of all keys; the console lists them on one page."""
    return [key["id"] for key in (await http.get(KEYS, headers=CONSOLE)).json()["items"]]


async def change_keys(url: str, count: int) -> None:
    limits = httpx2.Limits(max_connections=32, keepalive_expiry=1)
    async with httpx2.AsyncClient(base_url=url, limits=limits, trust_env=False, timeout=PATIENCE) as http:
        client, before = KeyClient(http), await list_keys(http)
        await asyncio.gather(*[client.live(number) for number in range(count)])
        listed = Counter(await list_keys(http))
        assert len(client.made) == count
        assert len(set(client.made.values())) == count, "two keys have one secret"
        expected = set(before) | (client.made.keys() - client.deleted)
        assert listed == Counter(expected), "a key was lost or is listed twice"
        # the newest secret works, that of a deleted key does not
        for key_id, secret in [*client.made.items()][:: max(1, count // 50)]:
            answer = await http.get("/v1/models", headers={"authorization": f"Bearer {secret}"})
            assert answer.status_code == (401 if key_id in client.deleted else 200), key_id
        # of many that delete one key, one does
        key = next(key_id for key_id in client.made if key_id not in client.deleted)
        answers = await asyncio.gather(*[client.ask("DELETE", f"{KEYS}/{key}") for _ in range(32)])
        assert Counter(answer.status_code for answer in answers) == {204: 1, 404: 31}


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])
def test_keys_that_are_changed_at_once_are_neither_lost_nor_doubled(count: int) -> None:
    with run_server() as running:
        asyncio.run(change_keys(running.url, count))
