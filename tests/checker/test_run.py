"""What a run sends and reports: only reading, within the budget, with cleanup and without credentials."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aione_mock.checker import check, prepare
from aione_mock.checker.errors import TargetGone
from aione_mock.checker.laws import LAWS
from aione_mock.checker.report import EXIT_COULD_NOT, build_report
from aione_mock.checker.reports import RENDERERS
from aione_mock.checker.run_events import LawFinished, LawStarted, PaidCallsAhead, RunFinished, RunStarted
from aione_mock.errors import ConfigError
from aione_mock.structs import replace
from tests.checker.conftest import CheckGateway, target
from tests.checker.faulty_gateway import (
    ACCESS,
    KEY,
    OTHER,
    TOKEN,
    Fault,
    FaultyGateway,
    edit_json,
    replace_status,
    set_headers,
)

SECRETS = (KEY, TOKEN, OTHER, "nex-console-business", *ACCESS)
PAID = ("/v1/chat/completions", "/v1/messages", "enerateContent")
FREE = ("/count_tokens", ":countTokens")


def test_a_reading_run_sends_only_gets_and_calls_within_the_budget(
    gateway: FaultyGateway, check_gateway: CheckGateway
) -> None:
    report = check_gateway(allow_writes=False, max_paid_calls=20)
    posts = [request for request in gateway.seen if request.method not in ("GET", "HEAD", "OPTIONS")]
    assert all(request.method == "POST" and request.path.endswith((*PAID, *FREE)) for request in posts)
    assert report.counts.paid_calls <= 20
    assert "usage-conserved" in report.matrix
    assert any("budget of 20 paid calls" in reason for reason, _ in report.unchecked)


def test_generated_cases_keep_to_reading_too(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    check_gateway("coverage", allow_writes=False, phases=("coverage",))
    assert len(gateway.seen) > 50
    posts = [request for request in gateway.seen if request.method not in ("GET", "HEAD", "OPTIONS")]
    assert all(request.method == "POST" and request.path.endswith((*PAID, *FREE)) for request in posts)


def test_money_is_not_spent_beyond_its_limit(check_gateway: CheckGateway) -> None:
    report = check_gateway(allow_writes=False, spend_limit="0.001")
    assert Decimal(report.counts.spent_rmb) <= Decimal("0.001")
    assert any("limit of 0.0010 RMB" in reason for reason, _ in report.unchecked)


def test_what_was_made_is_deleted(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    report = check_gateway("keys", "limits")
    assert not report.keys_left
    made = sum(request.method == "POST" and request.path.endswith("/gateway/keys") for request in gateway.seen)
    assert made > 10
    left = check_gateway("key-list-order")
    assert left.all_kept


def test_interruption_cleans_up_and_keeps_what_was_found(
    gateway: FaultyGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.fault, gateway.seen = Fault(), []
    run = prepare(target(gateway.url), only=("keys",), phases=(), allow_writes=True)
    send = run.context.client.send
    count = {"n": 0}

    def raise_interrupt(*args: Any, **given: Any) -> Any:
        count["n"] += 1
        if count["n"] == 14:
            raise KeyboardInterrupt
        return send(*args, **given)

    monkeypatch.setattr(run.context.client, "send", raise_interrupt)
    assert isinstance(list(run.yield_events())[-1], RunFinished)
    assert run.stopped == "interrupted"
    assert build_report(run).exit_code == EXIT_COULD_NOT
    assert not run.context.key_ids
    assert any(request.method == "DELETE" for request in gateway.seen)


def test_one_who_stops_listening_leaves_a_clean_target(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    run = prepare(target(gateway.url), only=("keys",), phases=(), allow_writes=True)
    events = run.yield_events()
    while not run.context.key_ids:
        next(events)
    events.close()
    assert run.stopped == "interrupted"
    assert not run.context.key_ids
    assert not run.keys_left


def test_keys_that_cannot_be_deleted_are_named(check_gateway: CheckGateway) -> None:
    report = check_gateway("key-prefix", fault=replace_status(204, 500))
    assert report.keys_left


def test_a_server_that_is_gone_is_asked_once_to_delete(gateway: FaultyGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.fault = Fault()
    run = prepare(target(gateway.url), phases=(), allow_writes=True)
    context, request = run.context, []
    for name in ("one", "two", "three"):
        context.create_key(name)

    def raise_target_gone(operation: str, *_: Any, **__: Any) -> Any:
        request.append(operation)
        raise TargetGone("gone")

    with monkeypatch.context() as patch:
        patch.setattr(context.client, "call", raise_target_gone)
        made = context.key_ids
        left = context.delete_keys()
    assert request == ["deleteKey"]
    assert {name.partition(" ")[0] for name in left} == made
    for name in made:
        context.call("deleteKey", {"key_id": name})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_cleans_up(gateway: FaultyGateway, number: signal.Signals, tmp_path: Path) -> None:
    gateway.fault, gateway.seen = Fault(), []
    report = tmp_path / "report.json"
    words = ["check", gateway.url, "--only", "keys", "--allow-writes", "--json", str(report)]
    variables = {**os.environ, "AIONE_API_KEY": KEY, "AIONE_CONSOLE_TOKEN": TOKEN}
    with subprocess.Popen([sys.executable, "-m", "aione_mock", *words], env=variables, text=True) as process:
        # a key that was asked for, and something after it: so the answer with its id has come
        while not any(request.method == "POST" and request.path.endswith("/keys") for request in gateway.seen[:-1]):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(timeout=300) == EXIT_COULD_NOT
    assert "interrupted" in report.read_text(encoding="utf-8")
    assert any(request.method == "DELETE" for request in gateway.seen)
    listed = check(target(gateway.url), only=("key-list-order",), phases=())
    assert listed.all_kept


def test_a_model_that_nobody_knows_is_told_before_money_is_spent(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    report = check(replace(target(gateway.url), model="gpt-5.5"), only=("streams",), phases=())
    assert report.exit_code == EXIT_COULD_NOT
    assert report.verdict.endswith("the model 'gpt-5.5' (--model) is not listed and not found; did you mean 'gpt-5.4'?")
    assert report.counts.paid_calls == 0


def test_an_alias_may_be_the_model(gateway: FaultyGateway) -> None:
    gateway.fault, gateway.seen = Fault(), []
    report = check(replace(target(gateway.url), model="sonnet-4-6"), only=("stream-usage-asked",), phases=())
    assert report.all_kept
    assert {request.json["model"] for request in gateway.seen if request.path.endswith(PAID)} == {"sonnet-4-6"}


def test_the_estimate_is_at_least_what_is_spent(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    run = prepare(target(gateway.url), only=("models-callable", "models-aliases"), phases=())
    [ahead] = [event for event in run.yield_events() if isinstance(event, PaidCallsAhead)]
    spent = Decimal(build_report(run).counts.spent_rmb)
    assert spent <= Decimal(ahead.estimate) < 5 * spent


def test_without_a_paid_call_none_is_announced(gateway: FaultyGateway) -> None:
    run = prepare(target(gateway.url), only=("streams",), phases=(), max_paid_calls=0)
    assert not any(isinstance(event, PaidCallsAhead) for event in run.yield_events())


def test_generated_cases_alone_are_announced_too(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    run = prepare(target(gateway.url), only=("tag:OpenAI", "examples"), max_paid_calls=5, cases=1)
    [ahead] = [event for event in run.yield_events() if isinstance(event, PaidCallsAhead)]
    assert build_report(run).counts.paid_calls <= ahead.calls == 5


def test_a_server_that_is_not_there_has_neither_kept_nor_broken_anything() -> None:
    report = check(target("http://127.0.0.1:1"))
    assert report.findings == ()
    assert {cell.state for row in report.matrix.values() for cell in row.values()} == {"not checked"}


def test_what_leaves_nothing_to_check_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave nothing to check"):
        prepare("http://127.0.0.1:1", only=("streams",), skip=("streams",))


def test_generated_cases_without_their_library_are_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aione_mock.checker.run_setup.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"aione-mock\[check\]"):
        prepare("http://127.0.0.1:1")
    assert prepare("http://127.0.0.1:1", only=("stream-complete",)).plan.laws


def test_events_tell_the_course(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    run = prepare(target(gateway.url), only=("streams",), phases=())
    events = list(run.yield_events())
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert sum(isinstance(event, PaidCallsAhead) for event in events) == 1
    assert [e.law for e in events if isinstance(e, LawStarted)] == [
        e.verdict.law for e in events if isinstance(e, LawFinished)
    ]


def test_no_credential_in_any_report(check_gateway: CheckGateway) -> None:
    """All laws are broken, so all is shown."""
    secret = edit_json("", lambda value: {**value, "key": KEY, "token": TOKEN} if isinstance(value, dict) else value)
    report = check_gateway("area:models", "keys", "area:usage", "area:billing", "schema", fault=secret)
    assert len(report.findings) > 3
    for name, render in RENDERERS.items():
        text = render(report).decode()
        assert not [secret for secret in SECRETS if secret in text], name
        assert name == "markdown" or "$AIONE_CONSOLE_TOKEN" in text  # it repeats only the first findings


def test_new_keys_are_masked_too(check_gateway: CheckGateway, gateway: FaultyGateway) -> None:
    report = check_gateway("limits", fault=set_headers(x_ratelimit_remaining_requests="5"))
    made = {
        a.headers["authorization"].removeprefix("Bearer ") for a in gateway.seen if "authorization" in a.headers
    } - set(SECRETS)
    assert len(made) > 3
    assert not [secret for secret in made if secret.encode() in RENDERERS["json"](report)]


def test_an_assumption_mismatch_comes_with_an_overlay_that_mends_it(
    check_gateway: CheckGateway, tmp_path: Path
) -> None:
    fault = edit_json("/account$", lambda value: {**value, "balance_rmb": 86.5})
    report = check_gateway("schema", "account-month", fault=fault)
    finding = next(f for f in report.findings if f.law == "schema")
    assert finding.severity == "assumption"
    overlay = tmp_path / "adopt.yaml"
    overlay.write_text(finding.overlay, encoding="utf-8")
    again = check_gateway("schema", "account-month", fault=fault, overlays=(overlay,))
    assert not [f for f in again.findings if f.law == "schema"], finding.overlay


def test_a_law_can_be_switched_off_by_the_overlay_of_its_finding(check_gateway: CheckGateway, tmp_path: Path) -> None:
    fault = set_headers(x_ratelimit_remaining_requests="5")
    report = check_gateway("limit-headers", fault=fault)
    overlay = tmp_path / "adopt.yaml"
    overlay.write_text(report.findings[0].overlay, encoding="utf-8")
    again = check_gateway("limit-headers", fault=fault, overlays=(overlay,))
    cell = again.matrix["limit-headers"][report.findings[0].operation]
    assert (cell.state, cell.reason) == ("not checked", "the contract switches this law off here")


def test_what_a_law_lacks_is_said(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    from aione_mock.checker import Target

    report = check(Target(gateway.url, key=KEY), phases=())
    assert report.all_kept
    reasons = " ".join(reason for reason, _ in report.unchecked)
    for option in ("--token", "--other-token", "--access-key", "--allow-writes"):
        assert option in reasons


@pytest.mark.parametrize(
    "name", ["streams", "createChatCompletion", "tag:Billing", "stream-order", "schema", "fuzzing"]
)
def test_only_takes_tags_operations_laws_and_phases(name: str) -> None:
    run = prepare(target("http://127.0.0.1:1"), only=(name,))
    assert len(run.plan.laws) + len(run.plan.rules) + len(run.plan.phases) > 0
    assert len(run.plan.laws) < len(LAWS)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'stream-order'"):
        prepare(target("http://127.0.0.1:1"), only=("stream-ordr",))


def test_skip_leaves_out() -> None:
    run = prepare(target("http://127.0.0.1:1"), skip=("streams", "getKey", "coverage"))
    assert "getKey" not in run.plan.operations
    assert not [law for law in run.plan.laws if law.area == "streams"]
    assert "coverage" not in run.plan.phases
