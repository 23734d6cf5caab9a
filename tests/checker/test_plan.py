"""What `only` and `skip` leave: names that mean one thing, and nothing else is sent or judged."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from aione_mock.checker.laws import AREAS, LAWS, RULES
from aione_mock.checker.plan import CheckPlan, list_names, make_plan
from aione_mock.checker.report import EXIT_COULD_NOT
from aione_mock.checker.run_setup import load_gateway_contract
from aione_mock.errors import ConfigError
from aione_mock.settings import EXTENSIONS
from tests.checker.conftest import CheckGateway
from tests.checker.faulty_gateway import FaultyGateway

CONTRACT = load_gateway_contract()
EXTENDED = load_gateway_contract((), EXTENSIONS)
STREAMED = ("createChatCompletion", "createMessage", "streamGenerateContent")


def plan(*only: str, skip: tuple[str, ...] = ()) -> CheckPlan:
    return make_plan(CONTRACT, LAWS, RULES, only, skip)


@pytest.mark.parametrize("name", ["Billing", "models", "USAGE"])
def test_a_name_that_means_two_things_is_refused_with_both(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"tag:{name.title()[0]}\w+ and area:{name.lower()}; write one of them"):
        plan(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [("law:stream-ordr", "law:stream-order"), ("tag:Biling", "tag:billing"), ("area:stream-order", "stream-order")],
)
def test_an_unknown_qualified_name_is_refused(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=near):
        plan(name)


def test_every_name_has_a_kind_and_a_sentence_and_is_accepted() -> None:
    names = list_names(EXTENDED, LAWS, RULES)
    assert {name.kind for name in names} == {"tag", "operation", "area", "law", "phase", "check"}
    assert {name.name for name in names if name.kind == "area"} == set(AREAS.values())
    assert len({str(name).casefold() for name in names}) == len(names)
    for name in names:
        assert name.sentence.endswith("."), name
        assert make_plan(EXTENDED, LAWS, RULES, [str(name).upper()])


def test_laws_of_extensions_are_planned_with_them_alone() -> None:
    names, more = ({str(name) for name in list_names(each, LAWS, RULES)} for each in (CONTRACT, EXTENDED))
    assert {"area:embeddings", "law:embedding-length", "operation:createEmbedding"} <= more - names
    assert not any(law.area in EXTENSIONS for law in plan().laws)


def test_the_list_is_printed_without_a_gateway() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aione_mock", "check", "--list", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(done.stdout)
    assert {"kind": "law", "name": "usage-sums"}.items() <= next(r for r in rows if r["name"] == "usage-sums").items()
    assert all(row["sentence"] for row in rows)


def test_a_tag_has_all_its_laws_rules_and_generated_cases() -> None:
    chosen = plan("tag:Billing")
    assert set(chosen.operations) == {"getPlan", "getBillingAccount", "listInvoices"}
    assert {"invoice-order", "access-none", "read-answered"} <= {law.name for law in chosen.laws}
    assert len(chosen.rules) == len(RULES)
    assert len(chosen.phases) == 4


def test_a_phase_has_the_rules_and_no_law() -> None:
    chosen = plan("phase:coverage")
    assert (chosen.laws, chosen.phases) == ((), ("coverage",))
    assert len(chosen.rules) == len(RULES)


def test_what_is_skipped_is_left_out_of_everything() -> None:
    chosen = plan(skip=("area:streams", "tag:Gemini", "coverage", "ignored_auth"))
    assert not [law for law in (*chosen.laws, *chosen.rules) if law.area == "streams"]
    assert "generateContent" in chosen.forbidden
    assert not chosen.forbidden & set(chosen.operations)
    assert "coverage" not in chosen.phases
    assert "ignored_auth" not in chosen.checks


def paths(gateway: FaultyGateway) -> set[str]:
    return {request.path for request in gateway.seen}


def test_only_a_law_at_an_operation_asks_that_operation(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    report = check_gateway("listModels", "access-none", "access-wrong", allow_writes=False)
    assert {path for path in paths(gateway) if "no-such-path" not in path} == {"/v1/models"}
    assert set(report.matrix["access-none"]) == {"listModels"}


def test_what_only_writing_checks_names_the_method_and_the_option(
    gateway: FaultyGateway, check_gateway: CheckGateway
) -> None:
    report = check_gateway("error-wrong-method", allow_writes=False)
    cells = report.matrix["error-wrong-method"]
    unchecked = {name: cell.reason for name, cell in cells.items() if cell.state == "not checked"}
    reason = "it would send DELETE; --allow-writes permits requests that could change something"
    assert unchecked == dict.fromkeys(("listGeminiModels", "getDashboard"), reason)
    assert {request.method for request in gateway.seen} <= {"GET", "POST"}


def test_only_a_rule_asks_what_shows_it_and_nothing_else(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    report = check_gateway("law:stream-order", phases=("examples", "coverage", "fuzzing"))
    assert report.all_kept
    assert report.counts.paid_calls == 3
    assert report.counts.cases == 0
    assert set(report.matrix) == {"stream-order"}
    assert set(report.operations) == set(report.matrix["stream-order"]) == set(STREAMED)
    assert report.counts.kept == len(STREAMED)


def test_only_streams_keep_a_rule_for_streams(check_gateway: CheckGateway) -> None:
    report = check_gateway("question-answered", "stream-order", "schema")
    assert {cell.state for cell in report.matrix["stream-order"].values()} == {"not checked"}
    assert report.matrix["schema"]["createChatCompletion"].state == "kept"
    assert check_gateway("area:streams", max_paid_calls=0).exit_code == EXIT_COULD_NOT


def test_a_protocol_that_is_skipped_is_sent_nothing(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    laws = ("area:basics", "area:streams", "area:models", "error-malformed", "access-none", "phase:coverage")
    report = check_gateway(*laws, skip=("tag:Gemini",), allow_writes=False, phases=("coverage",), max_paid_calls=60)
    assert not [path for path in paths(gateway) if path.startswith("/v1beta")]
    assert report.all_kept
    assert not [name for row in report.matrix.values() for name in row if "emini" in name or "ontent" in name]


@pytest.mark.parametrize("name", ["generateContent", "streamGenerateContent", "createMessage"])
def test_only_an_operation_calls_no_other_model_operation(
    name: str, gateway: FaultyGateway, check_gateway: CheckGateway
) -> None:
    # these compare a stream with the plain answer
    comparing = ("stream-plain", "stream-complete", "stream-usage")
    check_gateway(f"operation:{name}", skip=("area:access", "area:limits", *comparing))
    matched = [CONTRACT.match(request.path).operations.get(request.method) for request in gateway.seen]
    called = {operation.id for operation in matched if operation and operation.paid}
    assert called == {name}


def test_a_tag_keeps_generated_cases_to_its_operations(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    report = check_gateway("tag:Billing", phases=("coverage",), allow_writes=False)
    assert report.counts.cases > 10
    asked = {path for path in paths(gateway) if "/billing/" not in path}
    generated = [request for request in gateway.seen if "x-schemathesis-testcaseid" in request.headers]
    assert generated
    assert all("/billing/" in request.path for request in generated)
    assert not [path for path in asked if path.endswith(("/v1/messages", "enerateContent"))]
