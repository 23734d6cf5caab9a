"""Rules at work under load and by chance: exact counts, the same fate in any order, sessions apart, files reloaded."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aione_mock.clock import parse_instant
from aione_mock.seed import Seed
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.faults.conftest import KEY, SessionClient, build_chat
from tests.timing import PATIENCE
from tests.wire_reader import Wire

UNLUCKY = {"id": "unlucky", "when": {"probability": 0.3}, "then": {"error": "upstream_failed"}}


def rules(asking: SessionClient, session: str, *specs: Any) -> None:
    asking.app.sessions.delete(session)
    asking.app.sessions.get(session).rules = asking.app.pipeline.scenarios.compiler.compile([*specs])


async def send_at_once(url: str, session: str, texts: list[str], **headers: str) -> dict[str, list[int]]:
    """Send all requests at once and return the statuses of each text."""
    limits = httpx2.Limits(max_connections=100)
    async with httpx2.AsyncClient(limits=limits, timeout=PATIENCE) as client:

        async def one(text: str) -> tuple[str, int]:
            body = {"model": "gpt-5.2", "messages": [{"role": "user", "content": text}]}
            own = {"authorization": f"Bearer {KEY}", "x-mock-session": session, **headers}
            return text, (await client.post(f"{url}/v1/chat/completions", json=body, headers=own)).status_code

        found: dict[str, list[int]] = {}
        for text, status in await asyncio.gather(*(one(text) for text in texts)):
            found.setdefault(text, []).append(status)
        return found


def test_fail_two_then_succeed_under_a_hundred_callers(asking: SessionClient) -> None:
    rules(asking, "two", {"then": {"error": "internal_error", "times": 2}})
    found = asyncio.run(send_at_once(asking.server.url, "two", ["Hello"] * 100))
    assert Counter(found["Hello"]) == {500: 2, 200: 98}


def test_the_same_by_header(asking: SessionClient) -> None:
    asking.app.sessions.delete("three")
    header = {"x-mock-scenario": "upstream_unavailable; times=3"}
    found = asyncio.run(send_at_once(asking.server.url, "three", ["Hello"] * 100, **header))
    assert Counter(found["Hello"]) == {503: 3, 200: 97}


def test_the_same_calls_have_the_same_fate_in_any_order(asking: SessionClient) -> None:
    texts = [f"Question {number % 60}" for number in range(120)]
    fates = []
    for order in range(3):
        rules(asking, "fate", UNLUCKY)
        shuffled = sorted(texts, key=lambda text: Seed.of(order).draw_integer(text))
        fates.append(
            {text: sorted(got) for text, got in asyncio.run(send_at_once(asking.server.url, "fate", shuffled)).items()}
        )
    assert fates[0] == fates[1] == fates[2]
    failed = sum(got.count(502) for got in fates[0].values())
    assert 20 <= failed <= 52, "about three in ten"
    assert any(got == [200, 502] for got in fates[0].values()), "the second time is another call"


def test_other_rules_do_not_change_the_fate(asking: SessionClient) -> None:
    texts = [f"Question {number}" for number in range(40)]
    rules(asking, "alone", UNLUCKY)
    rules(
        asking,
        "beside",
        {"id": "never", "when": {"text": "nobody says this"}, "then": {"error": "internal_error"}},
        UNLUCKY,
    )
    alone, beside = (asyncio.run(send_at_once(asking.server.url, name, texts)) for name in ("alone", "beside"))
    assert alone == beside


def test_another_seed_is_another_fate(asking: SessionClient) -> None:
    texts = [f"Question {number}" for number in range(40)]
    fates = []
    for seed in ("0", "1"):
        asking.app.sessions.create("seeded", seed=seed)
        asking.app.sessions.get("seeded").rules = asking.app.pipeline.scenarios.compiler.compile([UNLUCKY])
        fates.append(asyncio.run(send_at_once(asking.server.url, "seeded", texts)))
    assert fates[0] != fates[1]


def test_two_sessions_never_see_each_other(asking: SessionClient) -> None:
    rules(asking, "left", {"when": {"nth": [2, 4]}, "then": {"error": "internal_error"}})
    rules(asking, "right", {"when": {"every": 3}, "then": {"error": "upstream_timeout"}})
    seen = [
        (asking(build_chat("openai", stream=False), session=s).status, s) for _ in range(6) for s in ("left", "right")
    ]
    assert [status for status, session in seen if session == "left"] == [200, 500, 200, 500, 200, 200]
    assert [status for status, session in seen if session == "right"] == [200, 200, 504, 200, 200, 504]


# Files

GOOD = "rules:\n  - {id: first, when: {operation: createChatCompletion}, then: {error: internal_error}}\n"
BETTER = "rules:\n  - {id: second, then: {error: upstream_failed}}\n"
HALF = "rules:\n  - {id: second, then: {error: upstr"


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[tuple[SessionClient, Path]]:
    path = tmp_path / "rules.yaml"
    path.write_text(GOOD)
    config = Settings(now=parse_instant("2026-11-20T10:30:00Z"), scenarios=(tmp_path,))
    with Server(create_app(config)) as running:
        yield SessionClient(running), path


def wait_for_reload(asking: SessionClient, **headers: str) -> Wire:
    """Return the first response after the interval at which files are checked."""
    time.sleep(0.6)
    return asking(build_chat("openai", stream=False, **headers))


def test_files_are_read_again_when_they_change(
    filed: tuple[SessionClient, Path], caplog: pytest.LogCaptureFixture
) -> None:
    asking, path = filed
    assert asking(build_chat("openai", stream=False)).status == 500
    path.write_text(HALF)
    wire = wait_for_reload(asking, x_mock_explain="1")
    assert (wire.status, wire.headers["x-mock-rule"]) == (500, "first"), "half a file keeps the last good rules"
    assert [r.getMessage().split(": ")[0] for r in caplog.records] == ["rules.yaml:3"], "and says so once"
    path.write_text(BETTER)
    assert wait_for_reload(asking).status == 502
    (path.parent / "another.yaml").write_text("rules:\n  - {id: zeroth, then: {error: upstream_timeout}}\n")
    assert wait_for_reload(asking).status == 504
    path.unlink()
    (path.parent / "another.yaml").unlink()
    assert wait_for_reload(asking).status == 200


def test_who_goes_first(filed: tuple[SessionClient, Path]) -> None:
    """Header before control before file."""
    asking, _ = filed
    raw = build_chat("openai", stream=False)
    assert asking(raw, session="ranks").status == 500
    asking.app.sessions.get("ranks").rules = asking.app.pipeline.scenarios.compiler.compile(
        [{"then": {"error": "upstream_timeout"}}]
    )
    assert asking(raw, session="ranks").status == 504
    assert asking(build_chat("openai", stream=False, scenario="upstream_failed"), session="ranks").status == 502
