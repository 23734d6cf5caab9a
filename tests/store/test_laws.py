"""Laws under concurrency: whatever many workers are asked at once, they count, limit, book and number as one mock."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
import pytest

from tests.console.client import KEYS, TECH, Console, make_bearer_headers
from tests.console.test_conservation import Moved, bills, laws, sum_movement
from tests.store.load import Answer, Call, Load, make_call, send_all, take_turns
from tests.store.servers import new_prefix, require_store, shared_redis
from tests.test_cli import run_server
from tests.timing import PATIENCE

NOW, TODAY = "2026-11-20T02:00:00Z", date(2026, 11, 20)
SPAN = 60
STEP = 5
"""Seconds by which the clock is moved each time; a limit's span is a multiple of it."""
RPM, TPM, TPM_CALLS, NARROW = 150, 4000, 8, 3
"""Limits of the keys below: requests and tokens a minute, calls at a time."""
WORLD = f"""
extends: default
keys:
  - {{name: Requests, secret: sk-nex-law-requests, rpm_limit: {RPM}}}
  - {{name: Tokens, secret: sk-nex-law-tokens, tpm_limit: {TPM}, concurrency_limit: {TPM_CALLS}}}
  - {{name: Narrow, secret: sk-nex-law-narrow, concurrency_limit: {NARROW}}}
  - {{name: Changing, secret: sk-nex-law-changing}}
"""
DEMO = "sk-nex-demo-every-model"
TIMES = {"rule-a": 1, "rule-b": 7, "rule-c": 40, "rule-d": 11}
"""How often each rule is played."""
LATE = {"late-a": 5, "late-b": 30}
"""The same of rules that are added while calls are under way."""
SHARES = {
    "plain": 46, "claude": 10, "requests": 10, "tokens": 6, "narrow": 2, "failing": 4, "changing": 12, "ruled": 10,
}  # fmt: skip
"""Calls of each kind, of a hundred."""


def make_calls(count: int) -> Iterator[Call]:
    """Yield calls of all kinds in a mixed order, each many times."""
    chance = random.Random(18)
    for number in range(count):
        kind = chance.choices([*SHARES], [*SHARES.values()])[0]
        text = f"{kind} {chance.randrange(20)}"
        if kind == "ruled":
            text = f"Play {chance.choice([*TIMES, *LATE])} now"
        yield _make_call(kind, text)
        if number % 97 == 0:
            yield make_call("alone", f"Asked once {number}", DEMO)


def _make_call(kind: str, text: str) -> Call:
    if kind == "narrow":
        return make_call(kind, text, "sk-nex-law-narrow", "pace; ttft=0.02; tps=2000", stream=True)
    if kind == "failing":
        return make_call(kind, text, DEMO, "upstream_unavailable")
    key = f"sk-nex-law-{kind}" if kind in ("requests", "tokens", "changing") else DEMO
    return make_call(kind, text, key, claude=kind == "claude")


@dataclass(frozen=True)
class Change:
    """A change of the clock or of a key, which took effect between two moments."""

    sent: float
    done: float
    value: Any


@dataclass
class Record:
    """What happened during a load."""

    answers: list[Answer] = field(default_factory=list)
    clock: list[Change] = field(default_factory=list)
    key: list[Change] = field(default_factory=list)
    console_calls: int = 0
    added_rules: list[Change] = field(default_factory=list)

    def of(self, kind: str, *statuses: int) -> list[Answer]:
        """Return the answers to calls of a kind with one of some statuses."""
        return [each for each in self.answers if each.call.kind == kind and each.status in statuses]


class Disturbance:
    """Move the clock, change keys and add rules while calls are under way, each through the next worker."""

    def __init__(self, ports: Sequence[int], record: Record, changing: str) -> None:
        self._next_port, self._record, self._changing = take_turns(ports), record, changing

    async def run(self, load: Load) -> None:
        """Go on until the load has ended."""
        async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
            self._http = http
            await asyncio.gather(self._move_clock(load), self._change_key(load), self._add_rules(load))

    async def _move_clock(self, load: Load) -> None:
        while load.waiting:
            moved = await self._ask("POST", "/_mock/clock", {"advance": STEP})
            self._record.clock.append(moved)
            await load.wait_for_answers(4)

    async def _change_key(self, load: Load) -> None:
        for step in itertools.cycle(("disable", "enable")):
            if not load.waiting and step == "disable":
                return
            changed = await self._ask("PUT", f"{KEYS}/{self._changing}/{step}", **make_bearer_headers(TECH))
            self._record.key.append(Change(changed.sent, changed.done, step))
            self._record.console_calls += 1
            await load.wait_for_answers(3)

    async def _add_rules(self, load: Load) -> None:
        total = len(load.waiting)
        for number, (name, times) in enumerate(LATE.items(), 1):
            while len(load.waiting) > total * (1 - number / 4):
                await asyncio.sleep(0.02)
            self._record.added_rules.append(await self._ask("POST", "/_mock/rules", make_rule(name, times)))

    async def _ask(self, method: str, path: str, body: Any = None, **headers: str) -> Change:
        sent = monotonic()
        url = f"http://127.0.0.1:{self._next_port()}{path}"
        answer = await self._http.request(method, url, json=body, headers=headers)
        assert answer.is_success, answer.text
        return Change(sent, monotonic(), answer.json())


def make_rule(name: str, times: int) -> dict[str, Any]:
    """Return a rule that answers calls that mention its name with an error, so many times."""
    return {"id": name, "when": {"text": name}, "then": {"error": "upstream_timeout", "times": times}}


@contextmanager
def workers(count: int, folder: Path, *, shared: bool) -> Iterator[list[int]]:
    """Run processes; yield their ports."""
    world = folder / "world.yaml"
    world.write_text(WORLD, encoding="utf-8")
    options = ["--world", str(world), "--now", NOW, "--log", "off"]
    if shared:
        require_store()
        options += ["--store", shared_redis(), "--store-prefix", new_prefix()]
    with ExitStack() as stack:
        yield [int(stack.enter_context(run_server(*options)).url.rpartition(":")[2]) for _ in range(count)]


class Outcome:
    """A load, what was recorded of it, and what the mock shows afterwards."""

    def __init__(self, ports: Sequence[int], calls: int, connections: int) -> None:
        self.record, self._next_port = Record(), take_turns(ports)
        self.console = Console(f"http://127.0.0.1:{ports[0]}", "default")
        self.control("PUT", "rules", {"rules": [make_rule(name, times) for name, times in TIMES.items()]})
        self.figures = laws(self.console, TODAY, 7), bills(self.console, TODAY)
        changing = next(
            key["id"] for key in self.console.get(KEYS, page_size=100)["items"] if key["name"] == "Changing"
        )
        self.journal_before = self.control("GET", "journal", limit=1)["total"]
        disturbance = Disturbance(ports, self.record, changing)
        sent = list(make_calls(calls))
        self.record.answers = send_all(ports, sent, connections, disturbance.run)
        assert len(self.record.answers) == len(sent)
        self.under_way = self._wait_for_ends()
        self.journal = self.control("GET", "journal", limit=200)
        self.moved = laws(self.console, TODAY, 7), bills(self.console, TODAY)

    def _wait_for_ends(self) -> list[Any]:
        """Return the limits of keys with calls under way, a moment after the last answer, which ends a call."""
        end = monotonic() + 3
        while held := [item for item in self.control("GET", "limits")["items"] if item["concurrent_calls"]["used"]]:
            if monotonic() > end:
                break
        return held

    def control(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Ask the control API of the next worker."""
        url = f"http://127.0.0.1:{self._next_port()}/_mock/{path}"
        answer = httpx2.request(method, url, json=body, params=query, timeout=PATIENCE, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()


def check_statuses(outcome: Outcome) -> None:
    """Every call gets an answer that its kind can get."""
    expected = {
        "plain": {200}, "claude": {200}, "alone": {200}, "requests": {200, 429}, "tokens": {200, 429},
        "narrow": {200, 429}, "failing": {503}, "changing": {200, 401}, "ruled": {200, 504},
    }  # fmt: skip
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for answer in outcome.record.answers:
        found[answer.call.kind][answer.status] += 1
    assert {kind: {*statuses} for kind, statuses in found.items()} == expected, found


def check_occurrences(outcome: Outcome) -> None:
    """A request that comes n times has the numbers 1 to n, and no two answers have the same id."""
    numbers: dict[Call, list[int]] = defaultdict(list)
    for answer in outcome.record.answers:
        numbers[answer.call].append(answer.occurrence)
    for call, found in numbers.items():
        assert sorted(found) == [*range(1, len(found) + 1)], (call.text, sorted(found)[:20])
    ids = Counter(answer.request_id for answer in outcome.record.answers)
    assert ids.total() == len(ids), ids.most_common(3)


def sum_windows(amounts: dict[int, int]) -> dict[int, int]:
    """Return the sum of the last 60 seconds, by the second at which they end."""
    return {end: sum(much for at, much in amounts.items() if end - SPAN < at <= end) for end in amounts}


def check_requests_a_minute(outcome: Outcome) -> None:
    """No window has more requests than the limit, and those that were refused met a full one."""
    taken = Counter(answer.created for answer in outcome.record.of("requests", 200))
    sums = sum_windows(taken)
    assert max(sums.values()) == RPM, sums


def check_tokens_a_minute(outcome: Outcome) -> None:
    """What exceeds the limit was asked before the tokens that reach it were known: calls that were under way then."""
    answers = outcome.record.of("tokens", 200)
    taken: Counter[int] = Counter()
    for answer in answers:
        taken[answer.created] += answer.tokens
    most = max(sum_windows(taken).values())
    assert TPM <= most < TPM + TPM_CALLS * max(answer.tokens for answer in answers), most


def check_calls_at_a_time(outcome: Outcome) -> None:
    """Never more calls of a key are under way than the limit, from the first byte of an answer to the last one."""
    for kind, limit in (("narrow", NARROW), ("tokens", TPM_CALLS)):
        answers = outcome.record.of(kind, 200)
        moments = sorted([(answer.first, 1) for answer in answers] + [(answer.ended, -1) for answer in answers])
        under_way = most = 0
        for _, change in moments:
            under_way += change
            most = max(most, under_way)
        assert most <= limit, (kind, most)
    assert any(b"concurrency_limit_exceeded" in each.body for each in outcome.record.of("narrow", 429))


def check_rules(outcome: Outcome) -> None:
    """A rule for n calls is played exactly n times by all workers together."""
    played = Counter(answer.call.text.split()[1] for answer in outcome.record.of("ruled", 504))
    assert played == TIMES | LATE
    shown = {rule["id"]: rule["seen"] for rule in outcome.control("GET", "rules")["items"]}
    asked = Counter(answer.call.text.split()[1] for answer in outcome.record.of("ruled", 200, 504))
    assert {name: shown[name] for name in TIMES} == {name: asked[name] for name in TIMES}
    assert all(times < shown[name] < asked[name] for name, times in LATE.items())


def check_changes_of_keys(outcome: Outcome) -> None:
    """A key that was disabled is refused by all workers from the answer to that on, until it is enabled again."""
    answers = sorted(outcome.record.of("changing", 200, 401), key=attrgetter("began"))
    certain = Counter[bool]()
    for change, following in pairwise(outcome.record.key):
        works = change.value == "enable"
        for answer in answers:
            if change.done < answer.began and answer.ended < following.sent:
                assert (answer.status == 200) is works, (answer.status, change.value)
                certain[works] += 1
    assert min(certain[True], certain[False]) > 10, certain


def check_clock(outcome: Outcome) -> None:
    """An answer has a time that the clock showed while it was being made."""
    moves = outcome.record.clock
    start = moves[0].value["timestamp"] - STEP
    assert [move.value["timestamp"] for move in moves] == [start + STEP * n for n in range(1, len(moves) + 1)]
    for answer in outcome.record.of("plain", 200):
        least = start + STEP * sum(move.done < answer.began for move in moves)
        most = start + STEP * sum(move.sent < answer.ended for move in moves)
        assert least <= answer.created <= most


def check_sums(outcome: Outcome) -> None:
    """Ledger, dashboard, account and invoices move by exactly what was answered."""
    answered = sum([_read_movement(answer) for answer in outcome.record.answers if answer.status == 200], Moved())
    failures = sum(answer.status in (503, 504) for answer in outcome.record.answers)
    (before, bills_before), (after, bills_after) = outcome.figures, outcome.moved
    moved = [now - then for now, then in zip(after["total"], before["total"], strict=True)]
    requests = answered.requests + failures
    assert moved == [requests, answered.prompt, answered.completion, answered.prompt + answered.completion]
    assert after["cost"] - before["cost"] == answered.cost
    assert bills_after["month"] - bills_before["month"] == answered.cost


def _read_movement(answer: Answer) -> Moved:
    usage = answer.usage
    if answer.call.kind == "claude":
        cached = usage.get("cache_read_input_tokens") or 0
        return sum_movement(answer.model, usage["input_tokens"] + cached, usage["output_tokens"], cached)
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return sum_movement(answer.model, usage["prompt_tokens"], usage["completion_tokens"], cached)


def check_journal(outcome: Outcome) -> None:
    """The journal numbers every call once, in the order in which it came to an end."""
    total = outcome.journal_before + len(outcome.record.answers) + outcome.record.console_calls
    assert outcome.journal["total"] == total
    assert [item["number"] for item in outcome.journal["items"]] == [*range(total, total - 200, -1)]
    known = {answer.request_id for answer in outcome.record.answers}
    assert sum(item["request_id"] in known for item in outcome.journal["items"]) > 100


def check_nothing_is_left(outcome: Outcome) -> None:
    """No call is counted as under way when all are answered."""
    assert not outcome.under_way
    assert len(outcome.control("GET", "limits")["items"]) > 4


CHECKS = (
    check_statuses, check_occurrences, check_requests_a_minute, check_tokens_a_minute, check_calls_at_a_time,
    check_rules, check_changes_of_keys, check_clock, check_sums, check_journal, check_nothing_is_left,
)  # fmt: skip


@pytest.mark.parametrize(
    ("shared", "processes", "connections", "calls"),
    [
        pytest.param(False, 1, 32, 6000, id="memory"),
        pytest.param(True, 2, 16, 6000, id="redis"),
        pytest.param(False, 1, 256, 50_000, id="memory-50000", marks=pytest.mark.slow),
        pytest.param(True, 4, 64, 50_000, id="redis-50000", marks=pytest.mark.slow),
    ],
)
def test_laws_hold_however_many_workers_are_asked_at_once(
    shared: bool, processes: int, connections: int, calls: int, tmp_path: Path
) -> None:
    with workers(processes, tmp_path, shared=shared) as ports:
        outcome = Outcome(ports, calls, connections)
        broken = []
        for check in CHECKS:
            try:
                check(outcome)
            except AssertionError as error:
                broken.append(f"{check.__doc__}\n    {str(error)[:1500]}")
    assert not broken, "\n".join(broken)
