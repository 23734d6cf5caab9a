"""One fault of a gateway is one entry of a report, with all its places."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

import pytest

from aione_mock.checker.cause_titles import negate_title
from aione_mock.checker.causes import GatewayFacts, group_by_cause
from aione_mock.checker.finding import LawFinding
from aione_mock.checker.laws import LAWS, RULES
from aione_mock.checker.plan import CHECKS
from aione_mock.checker.report import CheckReport
from aione_mock.structs import replace
from tests.checker.conftest import CheckGateway
from tests.checker.faulty_gateway import (
    Fault,
    SeenRequest,
    SentResponse,
    accept_any_credential,
    answer_with,
    edit_json,
    edit_stream,
    set_headers,
)

_ERROR = {"error": {"message": "x", "type": "api_error", "code": "internal_error"}}


def _edit_errors(edit: Callable[[SeenRequest, dict[str, object]], None]) -> Fault:
    """Change the bodies of all errors."""

    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        value = response.json
        if response.status < 400 or not isinstance(value, dict):
            return response
        edit(request, value)
        return response.with_json(value)

    return Fault(on_response=on_response)


def _titles(report: CheckReport) -> list[str]:
    return [cause.title for cause in report.causes]


def test_an_operation_that_always_fails_is_one_finding(check_gateway: CheckGateway) -> None:
    report = check_gateway("Anthropic", fault=answer_with("/v1/messages$", 500, _ERROR))
    assert _titles(report) == ["createMessage always answers 500"]
    assert len(report.causes[0].laws) > 3


def test_an_operation_that_always_answers_an_error_of_the_client_is_one_finding(check_gateway: CheckGateway) -> None:
    names = ("area:basics", "area:errors", "access-none", "stream-asked", "models-callable")
    report = check_gateway("Anthropic", "OpenAI", *names, fault=answer_with("/chat/completions$", 418, _ERROR))
    assert _titles(report) == ["createChatCompletion always answers 418"]


def test_what_is_wrong_with_the_errors_of_failing_streams_is_part_of_it(check_gateway: CheckGateway) -> None:
    def asks_for_stream(request: SeenRequest) -> bool:
        return b'"stream":true' in request.body

    fault = answer_with("/v1/messages$", 503, {"message": "down"}, when=asks_for_stream)
    report = check_gateway("createMessage", "area:streams", "area:conformance", "area:basics", fault=fault)
    assert _titles(report) == ["Requested streams are not sent at createMessage"]
    assert {"content-type", "headers"} <= set(report.causes[0].laws)


def test_what_the_answer_lacks_that_a_stream_adds_up_to_is_one_finding(check_gateway: CheckGateway) -> None:
    def edit(text: str) -> str:
        text = re.sub(r'"role":"assistant",?', "", text)
        return re.sub(r'data: [^\n]*"choices":\[\][^\n]*\n\n', "", text)

    report = check_gateway("createChatCompletion", "area:streams", fault=edit_stream(edit, "/chat/completions"))
    order, members = _titles(report)
    assert order == "Choices 0: event 1 has no delta.role at createChatCompletion"
    assert members == "role is missing and usage is null in the answer that streams of createChatCompletion add up to"
    finding = report.causes[0].principal
    assert finding.expected.startswith("choices 0: 'open (open | piece)* finish' (finish has finish_reason; open has")
    assert finding.seen.startswith("choices 0: event 1 has no delta.role; events come as 'piece")


def test_what_changes_within_a_stream_is_named(check_gateway: CheckGateway) -> None:
    numbers = count()
    fault = edit_stream(lambda text: re.sub('"id":"chatcmpl-', lambda m: f"{m[0]}{next(numbers)}", text))
    report = check_gateway("createChatCompletion", "stream-order", fault=fault)
    assert _titles(report) == ["id changes within streams of createChatCompletion"]


def test_different_wrong_statuses_are_different_findings(check_gateway: CheckGateway) -> None:
    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        if response.status != 400:
            return response
        return replace(response, status=500 if request.json is None else 200)

    report = check_gateway("createChatCompletion", "error-malformed", fault=Fault(on_response=on_response))
    assert sorted(_titles(report)) == [
        "Malformed bodies are accepted by createChatCompletion",
        "Malformed bodies are answered 500 instead of 400 by createChatCompletion",
    ]


def test_a_wrong_reason_for_the_end_of_an_answer_is_named(check_gateway: CheckGateway) -> None:
    fault = edit_json("/v1/messages$", lambda value: value | {"stop_reason": "end_turn"})
    report = check_gateway("createMessage", "max-tokens", "stop", fault=fault)
    assert _titles(report) == ["stop_reason is wrong in answers of createMessage"]


def test_the_plainest_request_is_the_one_to_repeat(check_gateway: CheckGateway) -> None:
    report = check_gateway("createChatCompletion", "question-answered", "headers", "robust-languages")
    assert report.all_kept
    report = check_gateway(
        "createChatCompletion", "question-answered", "area:robustness", "headers", fault=set_headers(x_request_id=None)
    )
    (cause,) = [cause for cause in report.causes if cause.principal.law == "headers"]
    assert cause.principal.status == 200
    assert len(cause.principal.curl) < 320, cause.principal.curl


def test_operations_that_always_fail_alike_are_one_finding(check_gateway: CheckGateway) -> None:
    names = ("getBillingAccount", "getPlan", "listInvoices")
    report = check_gateway(*names, fault=answer_with("/billing/", 500, {"detail": "down"}))
    assert _titles(report) == ["getPlan, listInvoices and getBillingAccount always answer 500"]


def test_any_key_accepted_is_one_finding(check_gateway: CheckGateway) -> None:
    laws = [law.name for law in LAWS if law.area == "access" and not law.name.startswith("signature")]
    report = check_gateway(*laws, fault=accept_any_credential())
    title, *others = _titles(report)
    assert title.startswith("Any key, or none, is accepted by ")
    assert len(report.causes[0].operations) > 20
    assert len(others) <= 2, others


def test_a_member_that_all_errors_lack_is_one_finding(check_gateway: CheckGateway) -> None:
    def lose_code(request: SeenRequest, body: dict[str, object]) -> None:
        if isinstance(error := body.get("error"), dict) and request.path.startswith("/v1/chat"):
            error.pop("code", None)

    names = [law.name for law in LAWS if law.area in ("errors", "access")]
    report = check_gateway("createChatCompletion", *names, "schema", fault=_edit_errors(lose_code))
    assert _titles(report) == ["error.code is missing in errors of createChatCompletion"] * 2
    assert [cause.severity for cause in report.causes] == ["violation", "assumption"]
    assert len(report.causes[0].laws) > 3


def test_an_envelope_of_another_framework_is_one_finding(check_gateway: CheckGateway) -> None:
    def replace_envelope(request: SeenRequest, body: dict[str, object]) -> None:
        message = str(body)
        body.clear()
        body["message"] = message

    names = [law.name for law in LAWS if law.area in ("errors", "access")]
    report = check_gateway("OpenAI", "Anthropic", "Gemini", *names, "schema", fault=_edit_errors(replace_envelope))
    titles = _titles(report)
    assert [cause.severity for cause in report.causes] == ["violation", "assumption"]
    assert all(title.endswith(" have only message, not the envelope of their protocol") for title in titles)


def test_all_members_that_are_missing_are_named_once(check_gateway: CheckGateway) -> None:
    def lose_members(value: dict[str, object]) -> None:
        for item in value.get("data", [value]):  # type: ignore[attr-defined]
            for name in ("created", "owned_by", "display_name"):
                item.pop(name, None)

    report = check_gateway("models-readable", "schema", "models-unique", fault=edit_json("/v1/models", lose_members))
    assert [(cause.severity, cause.title) for cause in report.causes] == [
        ("violation", "created and owned_by are missing in answers of listModels"),
        (
            "assumption",
            "created, owned_by and display_name are missing in answers of retrieveModel and listModels",
        ),
    ]


def test_the_member_inside_one_of_is_named(check_gateway: CheckGateway) -> None:
    report = check_gateway(
        "createMessage",
        "stream-events",
        "stream-asked",
        fault=edit_stream(lambda text: text.replace('"stop_sequence":null', '"stop_sequence":7'), "/v1/messages"),
    )
    assert _titles(report) == ["stop_sequence is wrong in streams of createMessage"]
    finding = report.causes[0].principal
    assert "/stop_sequence" in finding.expected
    assert "stop_sequence" in finding.answer, "the event at fault is shown"


def test_a_header_that_is_missing_everywhere_is_one_finding(check_gateway: CheckGateway) -> None:
    report = check_gateway("headers", "access-none", fault=set_headers(x_request_id=None))
    assert len(report.causes) == 1
    assert report.causes[0].title.startswith("Header x-request-id is missing in answers of ")
    assert len(report.causes[0].operations) > 10


def test_what_follows_from_the_status_that_a_law_found_is_not_told_again(check_gateway: CheckGateway) -> None:
    def reject_otherwise(request: SeenRequest, response: SentResponse) -> SentResponse:
        if response.status != 401 or not request.path.startswith("/v1/"):
            return response
        return SentResponse(500, {"content-type": "text/plain"}, b"Internal Server Error")

    names = ("access-none", "access-malformed", "access-wrong", *(rule.name for rule in RULES))
    report = check_gateway("OpenAI", *names, fault=Fault(on_response=reject_otherwise))
    title, *others = _titles(report)
    assert title.startswith("Missing, unreadable and unknown credentials are answered 500 instead of 401 by ")
    assert [other for other in others if not other.startswith("Header ")] == []


def test_every_law_says_what_is_wrong() -> None:
    titles = [law.title for law in (*RULES, *LAWS)] + list(CHECKS.values())
    assert [title for title in titles if negate_title(title).startswith("Broken: ")] == []
    assert [title for title in titles if negate_title(title) == title] == []


@pytest.mark.parametrize(
    ("expected", "seen", "status", "title"),
    [
        ("404 model_not_found", "400 application/json", 400, "Unknown models are answered 400 instead of 404 by a"),
        ("404 model_not_found", "200 application/json", 200, "Unknown models are accepted by a"),
        ("a name", "none", 200, "Unknown models are not rejected at a"),
        ("a name", "500 text/plain", 500, "Unknown models are answered 500 by a"),
    ],
)
def test_titles_say_what_was_answered(expected: str, seen: str, status: int, title: str) -> None:
    found = LawFinding("error-unknown-model", "Unknown models are rejected", "a", "", expected, seen, status=status)
    assert [cause.title for cause in group_by_cause([found], GatewayFacts())] == [title]


def test_a_violation_and_a_mismatch_are_two_causes_and_one_has_an_overlay() -> None:
    assumed = LawFinding("headers", "t", "a", "assumed", "header x", "no", subject="x", actions=(("$.a", None),))
    certain = LawFinding("headers", "t", "b", "documented", "header x", "no", subject="x")
    violation, mismatch = group_by_cause([assumed, certain], GatewayFacts())
    assert (violation.severity, violation.findings, violation.overlay) == ("violation", (certain,), "")
    assert (mismatch.severity, mismatch.findings, mismatch.title) == (
        "assumption",
        (assumed,),
        "Header x is missing in answers of a",
    )
    assert "$.a" in mismatch.overlay
    assert violation.key != mismatch.key


def test_a_mismatch_without_an_overlay_says_why() -> None:
    found = LawFinding("schema", "t", "a", "assumed", "a JSON body", "no JSON")
    (cause,) = group_by_cause([found], GatewayFacts())
    assert cause.overlay == ""
    assert cause.overlay_note.startswith("No small change of the contract accepts this (schema)")
