"""Sessions that begin again, lose keys, grow old or end: no worker takes one for another, and nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from aione_mock.server import shared_state
from tests.store.pairs import TECH, Pair, Store, Worker, two_workers
from tests.timing import wait_until

DAY = 24 * 3600


def reply(text: str) -> dict[str, object]:
    return {"rules": [{"id": "only", "then": {"reply": {"text": text}}}]}


def reset(worker: Worker, store: Store, session: str) -> None:
    worker.control("POST", f"sessions/{session}/reset")


def delete(worker: Worker, store: Store, session: str) -> None:
    worker.control("DELETE", f"sessions/{session}")
    worker.control("POST", "sessions", {"name": session})


def lose(worker: Worker, store: Store, session: str) -> None:
    store.lose_all()


# --- generations


@pytest.mark.parametrize("begin_again", [reset, delete, lose])
def test_no_worker_takes_a_session_that_began_again_for_the_one_it_knows(
    pair: Pair, session: str, begin_again: Callable[[Worker, Store, str], None]
) -> None:
    one, other = pair
    one.control("PUT", "rules", reply("before"), session)
    assert [each.read("Which?", session) for each in pair] == ["before"] * 2
    known = pair.store.get_generation(session)
    begin_again(one, pair.store, session)
    one.control("PUT", "rules", reply("after"), session)  # as many changes as there were before
    assert other.read("Which?", session) == "after"
    assert other.list_numbers(session) == [1]
    assert pair.store.get_generation(session) > known


def make_key(worker: Worker, session: str) -> str:
    """Make a key of the gateway; return its secret."""
    answer = worker.ask("POST", "/api/v1/gateway/keys", {"name": "Mine"}, session, **TECH)
    return str(answer.json()["key"])


def test_no_worker_takes_an_older_state_of_the_store_for_the_one_it_knows(pair: Pair, session: str) -> None:
    one, other = pair
    booked = one.count_booked(session)
    one.control("PUT", "rules", reply("kept"), session)
    kept = make_key(other, session)
    saved = pair.store.save()
    lost = make_key(other, session)
    one.control("PUT", "rules", reply("lost"), session)
    assert [each.read("Which?", session) for each in pair] == ["lost"] * 2
    assert other.list_numbers(session) == [5, 4, 3, 2, 1]
    restart(pair, saved)
    one.control("POST", "clock", {"advance": 1}, session)
    one.control("PUT", "rules", reply("again"), session)
    assert [each.read("Which?", session) for each in (other, one)] == ["again"] * 2
    assert [other.chat("Hello", session, key).status_code for key in (kept, lost)] == [200, 401]
    assert [each.list_numbers(session) for each in pair] == [[6, 5, 4, 3, 2, 1]] * 2
    assert [each.count_booked(session) for each in pair] == [booked + 3] * 2


def restart(pair: Pair, saved: dict[str, bytes]) -> None:
    """Do what a server does that is started again with an older dump."""
    pair.store.load(saved)
    pair.store.db.client_kill_filter(_type="normal", skipme=True)
    time.sleep(0.2)  # until the workers know; their next call must not need one before it


# --- keys that a store has dropped on its own


def build(pair: Pair, session: str) -> None:
    """Make a session with a bit of everything."""
    one, other = pair
    one.control("POST", "sessions", {"name": "original"}, session)
    one.control("PUT", "rules", reply("kept"), "original")
    one.control("POST", "sessions/original/fork", {"name": session})
    assert one.chat("Hello", session).status_code == 200
    make_key(other, session)
    one.control("POST", f"sessions/{session}/snapshot", {"label": "one"})
    one.control("DELETE", "sessions/original")
    assert [each.read("Hello", session) for each in pair] == ["kept"] * 2


def test_a_session_that_has_lost_a_key_begins_anew_or_goes_on_without_it(pair: Pair) -> None:
    build(pair, "whole")
    parts = {name for name in pair.store.list_keys(":whole:") if ":l:" not in name}  # leases end by themselves
    assert len(parts) > 20
    for number, part in enumerate(sorted(parts)):
        session = f"lossy-{number}"
        build(pair, session)
        gen = pair.store.get_generation
        name = part.replace(":whole:", f":{session}:").replace(str(gen("whole")), str(gen(session)))
        pair.store.delete(name)
        check_goes_on(pair, session)


def check_goes_on(pair: Pair, session: str) -> None:
    """Whatever is asked in a session, and about it, has an answer."""
    pair[1].control("GET", "sessions")
    for each in pair:
        assert each.chat("Hello", session).status_code == 200
        each.control("GET", "journal", session=session)
        each.control("GET", "sessions")
        each.control("GET", "stats")
    one, other = pair
    assert one.ask("POST", f"/_mock/sessions/{session}/restore", {"label": "one"}).status_code in (200, 404)
    one.control("POST", f"sessions/{session}/snapshot", {"label": "two"})
    other.control("POST", f"sessions/{session}/restore", {"label": "two"})
    other.control("POST", f"sessions/{session}/reset")
    assert [each.chat("Hello", session).status_code for each in pair] == [200, 200]
    one.control("DELETE", f"sessions/{session}")
    assert session not in {each["name"] for each in other.control("GET", "sessions")["items"]}


# --- how long keys live


def list_expiries(store: Store, part: str = "") -> dict[str, int]:
    """Return the seconds after which each key ends; -1 for never."""
    return {name: store.db.ttl(store.name(name)) for name in store.list_keys(part)}


@pytest.fixture
def fresh_pair() -> Iterator[Pair]:
    """Two workers of whose store no test has deleted keys."""
    with two_workers() as found:
        yield found


def test_keys_of_sessions_in_use_live_on_and_those_of_idle_ones_end(fresh_pair: Pair) -> None:
    pair = fresh_pair
    for session in ("used", "idle"):
        build(pair, session)
    assert pair[0].chat("Hello").status_code == 200
    with pair[0].hanging("used"):
        pair.store.run("sweep", idle=DAY, expiry=2 * DAY)
        expiries = list_expiries(pair.store)
        assert {name.split(":")[1] for name in expiries if name[:2] in ("s:", "n:")} >= {"used", "idle", "default"}
        assert any(":l:" in name for name in expiries)
        assert all(2 * DAY - 10 < seconds <= 2 * DAY for seconds in expiries.values()), expiries
    pair.store.db.zincrby(pair.store.name("used"), -DAY - 1, "idle")
    pair.store.db.zincrby(pair.store.name("used"), -DAY - 1, "default")
    pair.store.run("sweep", idle=DAY, expiry=2 * DAY)
    assert not pair.store.list_keys(":idle:")
    names = {each["name"] for each in pair[1].control("GET", "sessions")["items"]}
    assert "idle" not in names
    assert names >= {"default", "used"}
    assert pair[1].list_numbers()
    assert pair[1].read("Hello", "used") == "kept"


def test_a_session_of_callers_without_a_credential_ends_too(pair: Pair, session: str) -> None:
    assert pair[0].chat("Hello", session, "sk-nex-wrong-key").status_code == 401
    pair.store.run("sweep", idle=DAY, expiry=2 * DAY)
    assert pair.store.list_keys(f":{session}:")
    pair.store.db.zincrby(pair.store.name("used"), -DAY - 1, session)
    pair.store.run("sweep", idle=DAY, expiry=2 * DAY)
    assert not pair.store.list_keys(f":{session}:")


def test_workers_renew_the_expiry_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_state, "_RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(shared_state, "_SWEEP_SECONDS", 0.1)
    with two_workers() as pair:
        assert pair[0].chat("Hello").status_code == 200
        assert wait_until(lambda: min(list_expiries(pair.store).values()) > 0, 10)


# --- snapshots


def test_a_snapshot_replaces_all_of_an_earlier_one_of_its_label(pair: Pair, session: str) -> None:
    one, other = pair
    limited = make_key(one, session)
    assert one.chat("Hello", session, limited).headers["x-mock-occurrence"] == "1"
    one.control("POST", f"sessions/{session}/snapshot", {"label": "same"})
    one.control("POST", f"sessions/{session}/reset")
    other.control("POST", f"sessions/{session}/snapshot", {"label": "same"})
    one.control("POST", f"sessions/{session}/restore", {"label": "same"})
    assert one.chat("Hello", session, limited).status_code == 401
    assert other.chat("Hello", session).headers["x-mock-occurrence"] == "2"
    assert other.control("GET", "limits", session=session)["items"]
    one.control("DELETE", f"sessions/{session}")
    assert not pair.store.list_keys(f":{session}:")


def test_a_snapshot_that_does_not_exist_changes_nothing(pair: Pair, session: str) -> None:
    build(pair, session)
    before = pair.store.save()
    for worker in pair:
        answer = worker.ask("POST", f"/_mock/sessions/{session}/restore", {"label": "on"})
        assert answer.status_code == 404
        assert answer.json()["error"]["name"] == "not_found"
        assert "did you mean 'one'" in answer.text.lower()
    pair.store.delete(f"n:{session}:snap:one:meta")  # and the same for one that has ended meanwhile
    assert pair[1].ask("POST", f"/_mock/sessions/{session}/restore", {"label": "one"}).status_code == 404
    left = pair.store.save()
    changed = {name for name in before.keys() | left if f":{session}:" in name and before.get(name) != left.get(name)}
    assert changed == {f"n:{session}:snap:one:meta"}
