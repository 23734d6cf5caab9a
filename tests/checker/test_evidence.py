"""A finding is as certain as the place of the contract that differs, and its overlay adopts what was seen."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from aione_mock.checker import check
from aione_mock.checker.context import LawContext
from aione_mock.checker.laws import LAWS
from aione_mock.checker.report import CheckReport
from aione_mock.checker.run_setup import GATEWAY_DOCUMENTS
from aione_mock.checker.schema_differences import find_differences, find_unknown_members, prune_value
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.errors import ContractError
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import EXTENSIONS, Settings, locate_document, locate_extensions
from aione_mock.structs import replace
from aione_mock.types import Json
from tests.checker.conftest import CheckGateway, target
from tests.checker.faulty_gateway import (
    Fault,
    FaultyGateway,
    SeenRequest,
    SentResponse,
    answer_with,
    edit_json,
    replace_status,
)
from tests.checker.variations import VARIATIONS, VariedGateway

ADOPTED = {
    "creation answers 200": ("key-read-back", "key-deletion"),
    "deletion answers 200 with a body": ("key-deletion",),
    "the list of keys has no total": ("key-list-order",),
    "both views of the dashboard are filled": ("dashboard-sums",),
    "amounts have two places": ("dashboard-sums", "dashboard-usage"),
    "a disabled key is inactive": ("key-switching",),
    "the console has more members": ("key-list-read", "key-partial-update"),
    "every delta has the role": ("stream-asked", "stream-adds-up"),
    "nulls are left out": ("stream-plain",),
}
"""Variation → laws that meet it."""
_MAX_ROUNDS = 5
RULES = ("schema", "status-declared", "content-type", "stream-order", "stream-events")


def check_variation(name: str, *laws: str, overlays: tuple[Path, ...] = ()) -> CheckReport:
    with Server(VariedGateway(create_app(Settings(seed="evidence")), VARIATIONS[name]())) as server:
        return check(target(server.url), only=(*laws, *RULES), phases=(), allow_writes=True, overlays=overlays)


@pytest.mark.parametrize("name", list(ADOPTED))
def test_a_variation_is_no_violation_and_its_overlays_adopt_it(name: str, tmp_path: Path) -> None:
    overlays: list[Path] = []
    for _ in range(_MAX_ROUNDS):  # a report shows some of many differences
        report = check_variation(name, *ADOPTED[name], overlays=tuple(overlays))
        assert not report.violations, str(report)
        if not report.findings:
            break
        for text in dict.fromkeys(finding.overlay for finding in report.findings):
            overlays.append(tmp_path / f"{len(overlays)}.yaml")
            overlays[-1].write_text(text, encoding="utf-8")
    assert not report.findings, str(report)


def test_further_members_are_notes(check_gateway: CheckGateway) -> None:
    report = check_gateway("key-list-order", fault=edit_json("/keys$", lambda value: {**value, "x_more": 1}))
    assert report.all_kept, str(report)
    assert report.notes == ("listKeys answers with members beyond the contract: /x_more",)


def load_gateway_contract(*overlays: Path) -> Contract:
    return load_contract([locate_document(name) for name in GATEWAY_DOCUMENTS], overlays, cache=False)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_gateway_contract()


@pytest.mark.parametrize(
    ("operation", "change", "keyword", "evidence"),
    [
        ("listKeys", lambda value: value.pop("total"), "required", "assumed"),
        ("listKeys", lambda value: value.pop("items"), "required", "assumed"),
        ("listKeys", lambda value: value["items"][0].pop("name"), "required", "assumed"),
        ("listKeys", lambda value: value["items"][0].pop("team_id"), "required", "assumed"),
        ("listKeys", lambda value: value["items"][0].update(status="gone"), "enum", "assumed"),
        ("listKeys", lambda value: value["items"][0].update(name=7), "type", "documented"),
        ("listKeys", lambda value: value["items"][0].update(key="sk"), "type", "assumed"),
        ("getDashboard", lambda value: value["tech"].update(total_cost_rmb="1.00"), "pattern", "assumed"),
        ("getDashboard", lambda value: value["tech"].update(total_cost_rmb=1), "type", "deduced"),
        ("getDashboard", lambda value: value["tech"].update(total_tokens="1"), "type", "documented"),
        ("getDashboard", lambda value: value.update(data_freshness="now"), "format", "assumed"),
        ("createChatCompletion", lambda value: value.update(id="gen-1"), "pattern", "assumed"),
        ("createChatCompletion", lambda value: value.pop("usage"), "required", "documented"),
    ],
)
def test_the_place_that_differs_decides(
    operation: str, change: object, keyword: str, evidence: str, contract: Contract
) -> None:
    spec = contract.operations[operation]
    media = spec.responses[str(spec.success)]["content"]["application/json"]
    value: Json = copy_json(next(iter(media["examples"].values()))["value"])
    assert not list(find_differences(spec, media["schema"], value, spec.evidence))
    change(value)  # type: ignore[operator]
    differences = list(find_differences(spec, media["schema"], value, spec.evidence))
    assert [(found.keyword, found.evidence) for found in differences] == [(keyword, evidence)]
    assert differences[0].overlay


def test_an_event_of_no_kind_is_told_all_kinds(contract: Contract) -> None:
    spec = contract.operations["createMessage"]
    schema = {"$ref": "#/components/schemas/AnthropicStreamEvent"}
    assert not list(find_differences(spec, schema, {"type": "ping"}, spec.evidence))
    (difference,) = find_differences(spec, schema, {"type": "hello"}, spec.evidence)
    assert difference.pointer == "/type"
    assert difference.message.startswith("Input should be 'message_start', 'content_block_start'")
    assert "'ping'" in difference.message


def copy_json(value: Json) -> Json:
    import orjson

    return orjson.loads(orjson.dumps(value))


def test_members_are_known_through_all_branches(contract: Contract) -> None:
    spec = contract.operations["getDashboard"]
    media = spec.responses["200"]["content"]["application/json"]
    value = copy_json(next(iter(media["examples"].values()))["value"])
    assert not list(find_unknown_members(spec, media["schema"], value))
    value["tech"]["daily_trend"][0]["x"] = None
    assert list(find_unknown_members(spec, media["schema"], value)) == [("tech", "daily_trend", "*", "x")]
    value["y"] = 1
    pruned = prune_value(spec, media["schema"], value)
    assert "y" not in pruned
    assert "business" not in pruned
    assert pruned["tech"]["daily_trend"][0].keys() == {"date", "requests", "tokens", "cost_rmb"}


def test_the_contract_says_how_each_law_is_known() -> None:
    contract = load_contract([locate_document(name) for name in GATEWAY_DOCUMENTS], locate_extensions(EXTENSIONS))
    tables = [document.get("x-laws", {}) for document in contract.documents.values()]
    said = {law for table in tables for law in table}
    assert said == {law.name for law in LAWS}
    for law in LAWS:
        documents = {contract.operations[name].document for name in law.operations}
        assert all(law.name in contract.documents[document]["x-laws"] for document in documents), law.name


NARROW = """
overlay: 1.0.0
info: {title: Ours, version: '1'}
actions:
  - {target: $.components.schemas.KeyCreateRequest.properties.name, update: {maxLength: 9}}
"""


def test_an_overlay_that_narrows_a_schema_drops_the_examples_that_no_longer_fit(tmp_path: Path) -> None:
    overlay = tmp_path / "narrow.yaml"
    overlay.write_text(NARROW, encoding="utf-8")
    narrowed = load_gateway_contract(overlay)
    place = "aione.yaml#/paths/~1api~1v1~1gateway~1keys/post/requestBody/content/application~1json/examples/restricted"
    assert place in narrowed.notes
    examples = narrowed.operations["createKey"].request_body["content"]["application/json"]["examples"]
    assert list(examples) == ["named_only", "named_only_zh"]
    with Server(create_app(Settings(overlays=(overlay,)))) as server:
        report = check(target(server.url), only=("key-list-order", "schema"), phases=(), overlays=(overlay,))
    assert any("restricted is left out" in note for note in report.notes)


def test_an_example_that_an_overlay_brings_must_fit(tmp_path: Path) -> None:
    overlay = tmp_path / "wrong.yaml"
    wrong = "{target: $.components.schemas.KeyStatus, update: {examples: [7]}}"
    overlay.write_text(f"overlay: 1.0.0\nactions: [{wrong}]", encoding="utf-8")
    with pytest.raises(ContractError, match="KeyStatus/examples/0"):
        load_gateway_contract(overlay)


# Missing operations


def _remove_keys(request: SeenRequest, response: SentResponse) -> SentResponse:
    if not request.path.startswith("/api/v1/gateway/keys"):
        return response
    if "authorization" not in request.headers:
        return response.with_json({"detail": "Who are you?"}, 401)
    if request.headers.get("content-type", "").startswith("text/"):
        return response.with_json({"oops": True}, 413)
    return response.with_json({"detail": f"Cannot {request.method} /internal{request.path}"}, 404)


def test_a_missing_operation_may_answer_otherwise_than_by_404(check_gateway: CheckGateway) -> None:
    report = check_gateway("listKeys", fault=Fault(on_response=_remove_keys))
    assert [finding.place for finding in report.findings] == ["operation-served:listKeys"]


# Rate limits


def test_a_first_429_is_waited_for(check_gateway: CheckGateway) -> None:
    with Server(VariedGateway(create_app(Settings()), VARIATIONS["the first call waits"]())) as server:
        report = check(target(server.url), only=("usage-sums",), phases=())
    assert report.all_kept
    assert report.counts.kept >= 3
    assert report.counts.seconds > 2


@pytest.mark.slow
def test_a_failure_that_passes_is_a_note(check_gateway: CheckGateway) -> None:
    numbers = count(1)

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        return replace(response, status=503) if next(numbers) % 4 == 0 else response

    areas = ("area:basics", "area:access", "area:errors", "signature-missing")
    areas = (*areas, "signature-wrong", "signature-replayed", "signature-tampered", "router-exclusions")
    report = check_gateway(*areas, fault=Fault(on_response=on_response), allow_writes=False)
    assert report.all_kept, str(report)
    (note,) = [note for note in report.notes if note.startswith("failed with 502 or 503, and answered the repeated")]
    assert "ModelRouterQueryObservationMetrics" in note


def test_a_failure_that_lasts_is_repeated_a_few_times_alone(
    gateway: FaultyGateway, check_gateway: CheckGateway
) -> None:
    report = check_gateway("error-malformed", fault=answer_with("/v1/messages$", 502, {}))
    assert {finding.status for finding in report.findings} == {502}
    assert not [note for note in report.notes if "repeated" in note]
    sent = [request.body for request in gateway.seen if request.path == "/v1/messages"]
    assert len(sent) == len(set(sent)) + 3


def test_a_429_that_says_nothing_or_lasts_too_long_is_not_waited_for(check_gateway: CheckGateway) -> None:
    for extra in ({}, {"message": "Try again in 900 seconds."}):
        error = {"error": {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "Slow.", **extra}}
        report = check_gateway("usage-details", fault=answer_with("/chat/completions$", 429, error))
        assert report.counts.not_checked
        assert report.counts.seconds < 20


def test_a_status_that_no_page_names_is_assumed(check_gateway: CheckGateway) -> None:
    report = check_gateway("error-no-such-key", "status-declared", fault=replace_status(422, 418))
    assert not report.violations


def test_figures_of_laws_come_from_the_contract() -> None:
    from aione_mock.checker import prepare

    context: LawContext = prepare(target("http://127.0.0.1:9")).context
    assert context.find_figure("access-rotated", "grace_hours") == 24
    assert context.find_example("disableKey", "status") == "disabled"
