"""A gateway's odd answers never end a run, and bugs of laws always do."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from aione_mock.checker import check, prepare
from aione_mock.checker.errors import CheckError
from aione_mock.checker.finding import LawResults
from aione_mock.checker.law import Law
from aione_mock.checker.report import build_report
from aione_mock.structs import replace
from tests.checker.conftest import target
from tests.checker.faulty_gateway import Fault, FaultyGateway, SeenRequest, SentResponse

ODD_VALUES: tuple[Any, ...] = (
    None, True, [], {}, "", "x", "NaN", "1E+999999", 0, -1, 1.5, 1e300, 2**63, [None], [[]], {"a": None}, [1, "a", {}],
    "9999-12-31", "0001-01-01", "9999-12-31T23:59:59Z", "\u0000", "9" * 5000,
)  # fmt: skip


def replace_members(seed: int, share: float) -> Fault:
    """Replace or remove random members in a share of the responses."""
    chance = random.Random(seed)

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        if chance.random() > share:
            return response
        if "event-stream" in response.headers.get("content-type", ""):
            return replace(response, body=_replace_in_event(response.body, chance))
        return response if response.json is None else response.with_json(_replace_member(response.json, chance))

    return Fault(on_response=on_response)


def _replace_in_event(body: bytes, chance: random.Random) -> bytes:
    events = body.split(b"\n\n")
    index = chance.randrange(len(events))
    head, marker, text = events[index].rpartition(b"data: ")
    try:
        events[index] = head + marker + orjson.dumps(_replace_member(orjson.loads(text), chance))
    except orjson.JSONDecodeError:
        del events[index]
    return b"\n\n".join(events)


def _replace_member(value: Any, chance: random.Random) -> Any:
    path = chance.choice(list(_list_paths(value)))
    odd = copy.deepcopy(chance.choice(ODD_VALUES))
    if not path:
        return odd
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    if isinstance(holder, dict) and chance.random() < 0.3:
        del holder[path[-1]]
    else:
        holder[path[-1]] = odd
    return value


def _list_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for step, child in children:
        yield from _list_paths(child, (*path, step))


@pytest.mark.parametrize(
    ("seed", "share"),
    [(1, 0.05), pytest.param(2, 0.3, marks=pytest.mark.slow), pytest.param(3, 0.8, marks=pytest.mark.slow)],
)
def test_odd_answers_never_end_a_run(seed: int, share: float, gateway: FaultyGateway) -> None:
    gateway.app.sessions.reset(gateway.app.sessions.get())
    gateway.fault = replace_members(seed, share)
    run = prepare(target(gateway.url), phases=(), allow_writes=True, max_time=15.0)
    try:
        for _ in run.yield_events():
            pass
    finally:
        gateway.fault = Fault()
    report = build_report(run)
    assert report.findings
    assert not run.stopped or "--max-time" in run.stopped


def test_a_contract_without_chat_operations_ends_no_run(gateway: FaultyGateway, tmp_path: Path) -> None:
    gateway.app.sessions.reset(gateway.app.sessions.get())
    gateway.fault = Fault()
    every = prepare(target(gateway.url)).context.contract.operations.values()
    actions = [{"target": f"$.paths['{o.path}'].post", "remove": True} for o in every if o.paid]
    overlay = tmp_path / "no-chat.yaml"
    document = {"overlay": "1.0.0", "info": {"title": "No chat", "version": "1.0.0"}, "actions": actions}
    overlay.write_text(yaml.safe_dump(document), encoding="utf-8")
    areas = ("area:usage", "area:billing", "limits", "access")
    report = check(target(gateway.url), only=areas, phases=(), overlays=(overlay,), allow_writes=True)
    assert report.all_kept, str(report)
    assert "createMessage" not in report.operations


def test_a_bug_of_a_law_ends_the_run_and_cleans_up(gateway: FaultyGateway) -> None:
    def check_with_bug(context: Any) -> LawResults:
        """Have a bug."""
        context.create_key("left by a bug")
        yield {}["no such member"]

    gateway.fault = Fault()
    run = prepare(target(gateway.url), only=("key-list-order",), phases=(), allow_writes=True)
    law = Law("buggy", "A law with a bug", check_with_bug, ("listKeys",), area="keys")
    run.plan = replace(run.plan, laws=(law,))
    with pytest.raises(
        CheckError, match=r"internal error at test_odd_answers\.py, line \d+: KeyError: 'no such member'"
    ):
        list(run.yield_events())
    assert "internal error" in run.stopped
    assert not run.context.key_ids
    assert not run.keys_left
    assert build_report(run).matrix["buggy"]["listKeys"].state == "not checked"
