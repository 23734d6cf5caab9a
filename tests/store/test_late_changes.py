"""Calls between whose two round trips somebody else changes, resets or deletes their session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import pytest

from aione_mock.settings import MEMORY
from tests.conftest import NOW
from tests.console.client import Console
from tests.store.pairs import TECH, Pair, Worker, two_workers
from tests.timing import wait_until

KEYS = "/api/v1/gateway/keys"
MARK = {"headers": {"set": {"x-marked": "yes"}}}


def change_before_commit(worker: Worker, change: Callable[[], object]) -> None:
    """Let something happen once, after the next call of a worker was answered and before the store records it."""
    commit = worker.state.commit

    async def commit_late(*given: Any) -> bool:
        worker.state.commit = commit
        await asyncio.to_thread(change)
        return bool(await commit(*given))

    worker.state.commit = commit_late


def make_key(worker: Worker, session: str, **fields: Any) -> httpx2.Response:
    return worker.ask("POST", KEYS, {"name": "Mine", **fields}, session, **TECH)


def list_made(worker: Worker, session: str) -> list[str]:
    """Return the ids of the keys that were made."""
    items = worker.ask("GET", KEYS, None, session, **TECH).json()["items"]
    return [item["id"] for item in items if item["name"] == "Mine"]


# --- changes


def test_a_call_that_is_answered_again_is_counted_and_written_once(pair: Pair, session: str) -> None:
    one, other = pair
    rule = {"id": "once", "when": {"operation": "createKey", "probability": 1}, "then": {**MARK, "times": 1}}
    one.control("POST", "rules", rule, session)
    change_before_commit(one, lambda: other.control("POST", "clock", {"advance": 1}, session))
    answer = make_key(one, session)
    assert (answer.status_code, answer.headers.get("x-marked")) == (201, "yes")
    assert list_made(other, session) == [answer.json()["id"]]
    (_, entry) = other.control("GET", "journal", session=session)["items"]
    assert (entry["rule"], entry["finding"]) == ("once", "damaged")
    assert [each["seen"] for each in other.control("GET", "rules", session=session)["items"]] == [1]


def test_a_call_that_is_answered_again_shows_nothing_of_the_first_answer(pair: Pair, session: str) -> None:
    one, other = pair
    one.control("POST", "rules", {"id": "gone", "when": {"operation": "createKey"}, "then": MARK}, session)
    change_before_commit(one, lambda: other.control("DELETE", "rules/gone", session=session))
    answer = make_key(one, session)
    assert (answer.status_code, "x-marked" in answer.headers) == (201, False)
    (entry,) = other.control("GET", "journal", session=session)["items"]
    assert (entry["rule"], entry["finding"]) == (None, None)


def test_a_call_that_is_not_valid_any_more_is_refused(pair: Pair, session: str) -> None:
    one, other = pair
    change_before_commit(one, lambda: other.control("POST", "clock", {"advance": "2h"}, session))
    answer = make_key(one, session, expires_at=f"{NOW[:10]}T11:30:00Z")
    assert answer.status_code == 422
    assert list_made(other, session) == []
    (_, entry) = other.control("GET", "journal", session=session)["items"]
    assert entry["finding"] == "invalid_request"


# --- ends


def reset(worker: Worker, session: str) -> None:
    worker.control("POST", f"sessions/{session}/reset")


def delete(worker: Worker, session: str) -> None:
    worker.control("DELETE", f"sessions/{session}")


@pytest.mark.parametrize("end", [reset, delete])
def test_a_call_ends_in_the_session_in_which_it_began(
    pair: Pair, session: str, end: Callable[[Worker, str], None]
) -> None:
    one, other = pair
    booked = one.count_booked(session)

    def change() -> None:
        end(other, session)
        assert one.list_numbers(session) == []  # it knows the new session

    change_before_commit(one, change)
    assert one.chat("Hello", session).status_code == 200
    change_before_commit(one, change)
    assert make_key(one, session).status_code == 201
    assert [each.list_numbers(session) for each in pair] == [[], []]
    assert [list_made(each, session) for each in pair] == [[], []]
    assert one.count_booked(session) == booked
    delete(one, session)
    assert pair.store.list_keys(f":{session}:") == set()


def test_a_stream_that_outlives_its_session_leaves_nothing(pair: Pair, session: str) -> None:
    one, other = pair
    with one.hanging(session):
        delete(other, session)
    assert wait_until(lambda: not one.state._leases, 10)
    assert one.ask("GET", "/_mock/ready").status_code == 200  # what was sent to the store before is done
    assert pair.store.list_keys(f":{session}:") == set()
    assert pair.store.db.zcard(pair.store.name("open")) == 0


def test_an_entry_that_is_no_longer_in_the_journal_is_not_ended(pair: Pair, session: str) -> None:
    one, other = pair
    with one.hanging(session):
        assert wait_until(lambda: other.list_numbers(session) == [1], 10)
        other.control("DELETE", "journal", session=session)
    assert wait_until(lambda: not one.state._leases, 10)
    assert one.ask("GET", "/_mock/ready").status_code == 200
    assert not [name for name in pair.store.list_parts(session) if name.endswith(":ends")]


@pytest.mark.parametrize(
    ("operation", "given"), [("touch", {"prefixes": ["p"], "at": 1.0, "span": 9}), ("increment", {"counter": "c"})]
)
def test_what_a_call_counts_after_its_session_has_ended_is_refused(
    pair: Pair, session: str, operation: str, given: dict[str, Any]
) -> None:
    one, other = pair
    assert one.chat("Hello", session).status_code == 200
    gen = pair.store.get_generation(session)
    assert pair.store.run(operation, name=session, gen=gen, **given)["status"] == "ok"
    delete(other, session)
    assert pair.store.run(operation, name=session, gen=gen, **given)["status"] == "gone"
    assert pair.store.list_keys(f":{session}:") == set()
    assert one.chat("Hello", session).status_code == 200
    assert pair.store.run(operation, name=session, gen=gen, **given)["status"] == "gone"


# --- leases and nonces


def test_the_place_of_a_call_is_held_again_after_its_worker_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from aione_mock.server import shared_state

    monkeypatch.setattr(shared_state, "_RENEWAL_SECONDS", 0.1)
    with two_workers() as pair, pair[0].hanging():
        (lease,) = pair.store.list_keys(":l:")
        pair.store.delete(lease)
        assert wait_until(lambda: pair[1].count_under_way() == 1, 10)


def test_a_nonce_is_good_for_one_request_of_a_session(pair: Pair) -> None:
    def send(worker: Worker, session: str) -> int:
        url = worker.server.url
        console = Console(url, session)
        answer = console.send_signed("logs", x_acs_signature_nonce="the same")
        console.http.close()
        return answer.status_code

    one, other = pair
    assert [send(one, "nonce-1"), send(other, "nonce-2")] == [200, 200]
    assert [send(other, "nonce-1"), send(one, "nonce-1"), send(one, "nonce-2")] == [403] * 3
    one.control("POST", "sessions/nonce-1/reset")
    assert [send(other, "nonce-1"), send(one, "nonce-1")] == [200, 403]


# --- chance


CHANCES = [
    {"id": "chance", "when": {"text": "maybe", "probability": 0.5}, "then": {"reply": {"text": "lucky"}}},
    {"id": "nested", "when": {"or": [{"probability": 0.3}]}, "then": {"reply": {"text": "nested"}, "times": 3}},
    {"id": "rest", "when": {"text": "maybe"}, "then": {"reply": {"text": "rest"}, "times": 4}},
]


def run_calls(workers: Sequence[Worker], session: str) -> tuple[list[str], dict[str, int]]:
    """Return what workers say in turn, and how often each rule was counted."""
    workers[0].control("PUT", "rules", {"rules": CHANCES}, session)
    said = [workers[number % len(workers)].read(f"maybe {number % 5}", session) for number in range(30)]
    return said, {each["id"]: each["seen"] for each in workers[-1].control("GET", "rules", session=session)["items"]}


def test_rules_of_chance_are_played_and_counted_as_in_memory(pair: Pair) -> None:
    with Worker(pair.settings.model_copy(update={"store": MEMORY})) as alone:
        expected = run_calls([alone], "chance")
    assert run_calls(pair[:1], "chance-1") == expected
    assert run_calls(pair, "chance-2") == expected
    assert {"lucky", "nested", "rest"} <= {*expected[0]}
