"""When what comes: paces, delays and the time scale on the wire, and that many streams at once keep their schedule."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.faults.conftest import PROTOCOLS, SessionClient, build_chat
from tests.timing import Share, at_best, make_untraced_environment, measure_slowness
from tests.wire_reader import Wire

CLIENT = Path(__file__).parent.parent / "stream_client.py"
STORY = 'reply; text="' + " ".join(["sea"] * 60) + '"'
MODELS = {"openai": "gpt-5.2", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-2.5-flash"}
"""What `chat` asks."""
SEA = 'reply; text="' + " ".join(["sea"] * 30) + '"'


def first_event(wire: Wire) -> float:
    """Measure the seconds until the first byte of the body."""
    seen = b""
    for at, raw in wire.reads:
        seen += raw
        if seen.partition(b"\r\n\r\n")[2]:
            return at
    raise AssertionError("no body")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@at_best
def test_tokens_come_at_their_rate(asking: SessionClient, protocol: str) -> None:
    wire = asking(build_chat(protocol, scenario=f"{SEA}, pace; ttft=0.2; tps=50"))
    assert wire.first < 0.15, "the head does not wait for the first token"
    assert 0.19 <= first_event(wire) <= 0.6
    # 30 tokens or a few more, 20 ms each after the first
    assert 0.74 <= wire.last <= 2.0
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(wire.reads[2:])]
    assert sum(0.01 < gap < 0.04 for gap in gaps) > 0.5 * len(gaps)
    assert wire.body == asking(build_chat(protocol, scenario=SEA)).body, "only the time differs"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@at_best
def test_a_plain_answer_comes_when_its_last_token_would(asking: SessionClient, protocol: str) -> None:
    wire = asking(build_chat(protocol, stream=False, scenario=f"{SEA}, pace; ttft=0.1; tps=100"))
    assert 0.34 <= wire.first <= 1.5
    assert wire.whole


@at_best
def test_delay_is_before_all(asking: SessionClient) -> None:
    for raw in (
        build_chat("openai", scenario="reply; text=Hello; delay=0.2"),
        build_chat("openai", stream=False, scenario="cut_body; delay=200ms"),
        build_chat("openai", scenario="model_not_found; delay=0.2"),
        build_chat("openai", scenario="cut; after=0; delay=0.2"),
    ):
        assert 0.19 <= asking(raw).first <= 0.9


def test_an_answer_without_a_body_waits_too(asking: SessionClient) -> None:
    from tests.faults.conftest import CONTRACT, build_call

    raw = build_call(CONTRACT.operations["deleteKey"])
    plain = asking(raw)
    asking.app.sessions.delete("waiting")
    rule = {"then": {"delay": 0.2, "pace": {"ttft": 5}}}
    asking.app.sessions.get("waiting").rules = asking.app.pipeline.scenarios.compiler.compile([rule])
    slow = asking(raw, session="waiting")
    assert (slow.status, slow.body) == (plain.status, plain.body)
    assert slow.first >= 0.19


@at_best
def test_a_slow_day_is_seeded(asking: SessionClient) -> None:
    def last(seed: str) -> float:
        asking.app.sessions.create("day", seed=seed)
        raw = build_chat("openai", scenario=f"{SEA}, pace; ttft=0.05; tps=100; jitter=0.9; tail=0.5")
        return asking(raw, session="day").last

    days = [last(str(seed)) for seed in range(6)]
    assert max(days) > 1.5 * min(days), "one day is slower than another"
    assert abs(last("0") - days[0]) < 0.1
    assert abs(last("5") - days[5]) < 0.1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@at_best
def test_a_session_has_the_pace_of_its_models(asking: SessionClient, protocol: str) -> None:
    asking.app.sessions.delete("paced")
    asking.app.sessions.get("paced").pace = {"profile": "realistic"}
    model = asking.app.sessions.default.catalogue.find(MODELS[protocol])
    assert model is not None
    waited = first_event(asking(build_chat(protocol), session="paced", patience=30))
    assert 0.5 * model.pace.ttft <= waited <= 2 * model.pace.ttft + 0.5, "each call differs a little"


def test_refusals_do_not_wait_for_tokens(asking: SessionClient) -> None:
    asking.app.sessions.delete("slow")
    asking.app.sessions.get("slow").pace = {"ttft": 60.0}
    wire = asking(build_chat("openai", scenario="model_not_found"), session="slow", patience=30)
    assert wire.whole
    assert wire.status == 404


@pytest.fixture(scope="module")
def hasty() -> Iterator[SessionClient]:
    with Server(create_app(Settings(pace="realistic", time_scale=100))) as running:
        yield SessionClient(running)


def test_the_time_scale_is_for_every_delay(hasty: SessionClient) -> None:
    start = time.monotonic()
    assert hasty(build_chat("openai")).whole
    assert hasty(build_chat("openai", scenario="stall; seconds=30")).whole
    assert hasty(build_chat("openai", stream=False, scenario="slow_body; seconds=20")).whole
    assert hasty(build_chat("openai", scenario="internal_error; delay=20")).status == 500
    assert 0.7 <= time.monotonic() - start <= 30.0, "70 seconds and more without the scale"
    wire = hasty(build_chat("openai", scenario="instant, stall; after=1; seconds=30"), patience=40)
    assert 0.29 <= wire.last <= 15.0


def test_a_client_that_does_not_read_gets_no_more(asking: SessionClient) -> None:
    """What a slow client has not taken waits in the stream, not in memory; then it all comes."""
    raw = build_chat("openai", scenario="big_event; size=4000000, split_events; size=65536, pace; ttft=0; tps=1000000")
    wire = asking(raw, pause=0.005, patience=60)
    assert wire.whole
    assert len(wire.body) > 4_000_000


def test_many_streams_keep_their_schedule() -> None:
    """500 streams of 20 tokens a second, asked for within two seconds: 10,000 events a second, 99 % within 50 ms.

    Where others have the core for much of the time nobody keeps a schedule. That the server could have kept it is then
    seen by how long it was at work: for less than the streams took.
    """
    command = [sys.executable, "-m", "aione_mock", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=make_untraced_environment()) as server:
        try:
            assert server.stdout is not None
            found = re.search(r":(\d+)", server.stdout.readline())
            assert found is not None
            raw = build_chat("openai", scenario=f"{STORY}, pace; ttft=1; tps=20")
            runs = []
            for _ in range(3):
                runs.append(_load(server.pid, found[1], raw))
                if runs[-1].kept:
                    break
        finally:
            server.kill()
    assert any(run.kept for run in runs), "\n".join(map(str, runs))


STREAMS, RAMP = 500, 2.0


@dataclass(frozen=True)
class Load:
    """What the client saw of a run, in milliseconds, and how the server spent its seconds."""

    seen: dict[str, float]
    worked: float
    in_line: float

    @property
    def kept(self) -> bool:
        """Return whether the schedule was kept, or would have been if the server had a core of its own."""
        if self.seen["whole"] < STREAMS or self.seen["earliest"] < -5:
            return False
        if self.seen["p99"] < 50 + 2 * self.seen["machine"]:
            return True
        return self.in_line > 0.1 * BUSY and self.worked < BUSY / 3


BUSY = RAMP + 1 + 60 / 20
"""Seconds from the first request to the last event."""


def _load(server: int, port: str, raw: bytes) -> Load:
    slow, share = measure_slowness(), Share(server)
    done = subprocess.run(
        [sys.executable, str(CLIENT), port, str(STREAMS), str(RAMP), "1", "0.05"],
        input=raw,
        capture_output=True,
        timeout=300,
        check=True,
        env=make_untraced_environment(),
    )
    return Load(
        json.loads(done.stdout),
        share.read_running_seconds() * 2 / (slow + measure_slowness()),
        share.read_waiting_seconds(),
    )
