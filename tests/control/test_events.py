"""Events of the server: whoever listens sees calls and changes as they come, and slows nobody down."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from queue import Queue
from typing import Any

import httpx2
import orjson

from aione_mock.server.app import create_app
from aione_mock.server.events import EventFeed
from aione_mock.server.http import Server
from aione_mock.text import sse
from tests.timing import PATIENCE, make_untraced_environment

from .conftest import KEY, Client

SLOWLY = {"x-mock-scenario": "pace; ttft=0.15; tps=60"}
Told = tuple[str, Any, str]
"""Name, data and id of an event."""


class Reader:
    """Reads events in a thread."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._told: Queue[Told | None] = Queue()
        self._answer = answer
        self._opened = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._opened.wait(PATIENCE)

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(httpx2.HTTPError, httpx2.StreamError):
            for line in self._answer.iter_lines():
                self._opened.set()
                name, _, value = line.partition(": ")
                fields[name] = value
                if not line:
                    if "data" in fields:
                        self._told.put((fields["event"], orjson.loads(fields["data"]), fields.get("id", "")))
                    fields = {}
        self._told.put(None)

    def next(self, *names: str) -> Told:
        """Return the next event with one of these names."""
        while (told := self._told.get(timeout=PATIENCE)) is not None:
            if told[0] in names:
                return told
        raise AssertionError("the stream has ended")

    def until(self, name: str) -> list[Told]:
        """Return all events up to one with this name."""
        found = [self._told.get(timeout=PATIENCE)]
        while found[-1] is not None and found[-1][0] != name:
            found.append(self._told.get(timeout=PATIENCE))
        return [each for each in found if each is not None]


@contextlib.contextmanager
def listen_to_events(client: Client, last_id: str = "", **params: str) -> Iterator[Reader]:
    headers = {"last-event-id": last_id} if last_id else {}
    with client.stream("GET", "/_mock/events", params=params, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Reader(answer)


def test_a_plain_call_is_one_event_with_its_row(api: Client, name: str) -> None:
    with listen_to_events(api, session=name) as reader:
        api.chat("Hello")
        (told,) = reader.until("call.finished")
    assert told[1] == {**api.ok("GET", "journal")["items"][0], "session": name}


def test_calls_of_the_control_api_are_no_events(api: Client, name: str) -> None:
    with listen_to_events(api, session=name) as reader:
        api.ok("GET", "journal")
        api.ok("GET", "scenarios")
        api.chat("Hello")
        assert [told[0] for told in reader.until("call.finished")] == ["call.finished"]


def test_a_streamed_call_is_followed_while_it_streams(api: Client, name: str) -> None:
    with listen_to_events(api, session=name) as reader:
        answer = api.chat("Tell me something long", stream=True, headers=SLOWLY)
        started, *going, finished = reader.until("call.finished")
    assert answer.status_code == 200
    assert (started[0], started[1]["open"], finished[1]["open"]) == ("call.started", True, False)
    assert started[1]["number"] == finished[1]["number"]
    assert {each[0] for each in going} == {"call.progress"}
    counts = [each[1]["events"] for each in going]
    assert len(counts) > 3
    assert counts == sorted(counts)
    assert counts[-1] <= finished[1]["events"]
    tokens = [each[1]["tokens"] for each in going]
    assert 0 < tokens[0] <= tokens[-1] <= finished[1]["usage"]["completion"]
    # at most ten a second, and two for the ends
    assert len(going) <= finished[1]["duration_ms"] / 100 + 2


def test_an_application_that_is_served_again_is_listened_to() -> None:
    app = create_app()
    for _ in range(2):
        with Server(app) as server, Client(base_url=server.url) as api, listen_to_events(api) as reader:
            api.chat("Hello")
            assert len(reader.until("call.finished")) == 1


def test_filters_choose_calls(api: Client, name: str) -> None:
    with listen_to_events(api, session=name, status="4xx", text="refund") as reader:
        api.chat("a refund")
        api.chat("nothing", temperature="hot")
        api.chat("a refund, hot", temperature="hot")
        (told,) = reader.until("call.finished")
    assert (told[1]["status"], told[1]["number"]) == (400, 3)


def test_the_calls_of_all_sessions_come_without_a_filter(root: Client, api: Client, name: str) -> None:
    with listen_to_events(root) as reader:
        api.chat("Hello")
        assert reader.next("call.finished")[1]["session"] == name


def test_changes_are_reported(api: Client, name: str) -> None:
    with listen_to_events(api, session=name) as reader:
        api.ok("POST", "rules", {"id": "one", "then": {"error": "internal_error"}})
        api.ok("POST", "scenarios", {"scenario": "upstream_timeout"})
        api.ok("POST", "clock", {"advance": "1s"})
        api.ok("DELETE", "journal")
        api.ok("POST", f"sessions/{name}/reset")
        told = reader.until("session")
    assert [(each[0], each[1]["operation"]) for each in told] == [
        ("rules", "addRule"),
        ("scenarios", "activateScenario"),
        ("clock", "changeClock"),
        ("journal", "clearJournal"),
        ("session", "resetSession"),
    ]
    assert all(each[1]["session"] == name for each in told)


def test_a_reader_resumes_where_it_stopped(api: Client, name: str) -> None:
    with listen_to_events(api, session=name) as reader:
        api.chat("first")
        last = reader.until("call.finished")[-1][2]
        with listen_to_events(api, session=name):  # somebody is there, so events are held
            api.chat("second")
            number = reader.until("call.finished")[-1][1]["number"]
    with listen_to_events(api, last, session=name) as again:
        assert again.next("call.finished", "lost")[1]["number"] == number


def test_a_reader_that_was_away_too_long_is_told_what_it_lost(api: Client) -> None:
    with listen_to_events(api, "another-7") as reader:
        assert reader.next("lost")[1]["count"] >= 1


def test_more_calls_than_are_reported_are_counted(api: Client, name: str) -> None:
    with listen_to_events(api, session=name) as reader:
        for number in range(400):
            api.get(f"/v1/models?{number}", headers={"authorization": f"Bearer {KEY}"})
        api.ok("POST", "clock", {"advance": "1s"})
        told = reader.until("clock")
        seen = sum(each[0] == "call.finished" for each in told)
        lost = sum(each[1]["count"] for each in told if each[0] == "lost")
        while seen + lost < 400:
            following = reader.next("call.finished", "lost")
            seen, lost = (seen + 1, lost) if following[0] == "call.finished" else (seen, lost + following[1]["count"])
    assert seen + lost == 400


async def test_a_slow_reader_is_told_what_it_lost_and_holds_nothing() -> None:
    feed = EventFeed()
    reader = feed.listen()
    assert (await anext(reader)).startswith(b"retry:")
    await_next = anext(reader)
    for number in range(1600):
        feed.report_change("clock", "default", {"operation": str(number)})
    events = [*sse.decode([await await_next])]
    assert events[0].name == "lost"
    assert orjson.loads(events[0].data)["count"] + len(events) - 1 == 1600
    assert len(events) - 1 <= 500
    assert orjson.loads(events[-1].data)["operation"] == "1599"
    await reader.aclose()


def test_credentials_are_masked(api: Client, name: str) -> None:
    with listen_to_events(api, session=name) as reader:
        api.get(f"/v1/nowhere/{KEY}")
        told = reader.until("call.finished")[-1]
    assert KEY not in str(told)


def test_a_bad_filter_is_refused(api: Client) -> None:
    assert api.read_error("GET", "events", statsu="4xx")[0] == 400
    assert api.read_error("GET", "events", finding="odd")[0] == 400


def test_nothing_is_done_while_nobody_listens(api: Client, server: Server) -> None:
    feed = EventFeed()
    feed.start_call = feed.finish_call = None  # type: ignore[assignment,method-assign]
    state = server.app.pipeline.state
    before, state.feed = state.feed, feed
    try:
        assert api.chat("Hello").status_code == 200
    finally:
        state.feed = before


def test_the_server_ends_at_once_while_somebody_listens() -> None:
    command = [sys.executable, "-m", "aione_mock", "serve", "--port", "0", "--drain", "60"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=make_untraced_environment()
    )
    assert process.stdout is not None
    url = next(word for word in process.stdout.readline().split() if word.startswith("http://"))
    with Client(base_url=url) as client, listen_to_events(client) as reader:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert reader.until("call.finished") == []
        _, errors = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - began < 30
    assert (process.returncode, errors) == (-signal.SIGTERM, "")
