"""Every law finds a gateway that breaks it."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from aione_mock.checker.laws import LAWS, RULES
from aione_mock.checker.run_setup import load_gateway_contract
from aione_mock.mutants import MUTANTS
from aione_mock.settings import EXTENSIONS
from aione_mock.structs import replace
from tests.checker.conftest import CheckGateway
from tests.checker.faulty_gateway import (
    KEY,
    Fault,
    SeenRequest,
    accept_any_credential,
    answer_with,
    edit_json,
    edit_request,
    edit_stream,
    fail_when,
    ignore_parameters,
    merge_organisations,
    replace_status,
    set_headers,
)

CHAT, MESSAGES, GENERATE = "/chat/completions$", "/v1/messages$", ":generateContent$"
KEYS, ONE_KEY = "/gateway/keys$", "/gateway/keys/[^/]+$"
USAGE, DASHBOARD, INVOICES, ACCOUNT = "/obs/usage$", "/obs/dashboard$", "/invoices$", "/account$"
CHARTS, METRICS, LOGS = "/charts$", "/metrics$", "/logs$"
OPEN = accept_any_credential()


def put(*way: str | int, to: Any) -> Any:
    """Return an edit that sets a value, or what a function returns for it, at a path; `*` is every item of a list."""

    def edit(value: Any, steps: tuple[str | int, ...] = way) -> None:
        if not isinstance(value, dict | list):
            return
        if steps[0] == "*":
            for item in value if len(steps) > 1 else ():
                edit(item, steps[1:])
        elif len(steps) > 1:
            child = value.get(steps[0]) if isinstance(value, dict) else value[int(steps[0])] if value else None
            edit(child, steps[1:])
        elif isinstance(value, dict) and steps[0] in value:
            value[steps[0]] = to(value[steps[0]]) if callable(to) else to

    return lambda value: edit(value)


def drop(*way: str | int) -> Any:
    """Return an edit that removes a member."""

    def edit(value: Any) -> None:
        for step in way[:-1]:
            value = value.get(step) if isinstance(value, dict) else value[step]
        if isinstance(value, dict):
            value.pop(way[-1], None)

    return edit


def remove_point(value: Any) -> None:
    """Remove one point, if there are any; a mock without calls in the last hour has none."""
    del value["data"]["qpm"][3:4]


def make_reversal(*way: str) -> Any:
    """Return an edit that reverses a list."""

    def edit(value: Any) -> Any:
        here = value
        for step in way:
            here = here[step]
        here.reverse()

    return edit


def contains_words(request: SeenRequest, *words: bytes) -> bool:
    return any(word in request.body for word in words)


def one_more(number: int) -> int:
    return number + 1


def raise_price(money: str) -> str:
    return f"{float(money) + 1:.4f}"


CALLS = {"count": 0}


def count_calls() -> int:
    CALLS["count"] += 1
    return CALLS["count"]


def number_rows(rows: Any) -> Any:
    CALLS["count"] += 1
    extra = {"date": "2026-11-20", "model": None, "team_id": None, "key_id": None, "requests": 1, "cost_rmb": "0.0001"}
    return [*rows, {**extra, "prompt_tokens": CALLS["count"], "completion_tokens": 0, "total_tokens": CALLS["count"]}]


def make_swallowing_fault(method: str, path: str, status: int) -> Fault:
    """Answer a request without performing it."""

    def on_request(request: SeenRequest) -> SeenRequest:
        return (
            replace(request, method="GET", path="/v1/models", body=b"")
            if (request.method == method and re.search(path, request.path))
            else request
        )

    def on_response(request: SeenRequest, response: Any) -> Any:
        return replace(response, status=status, body=b"") if on_request(request) is not request else response

    return Fault(on_request, on_response)


def only_seven(*words: bytes) -> Fault:
    return answer_with(
        "", 400, {"error": {"message": "no", "type": "x"}}, when=lambda request: contains_words(request, *words)
    )


BREAKS: dict[str, Fault] = {
    **dict.fromkeys(
        (
            "access-none",
            "access-malformed",
            "access-wrong",
            "access-disabled",
            "access-deleted",
            "access-expired",
            "access-rotated-twice",
            "access-model",
            "access-address",
            "limit-requests",
            "limit-tokens",
            "signature-missing",
            "signature-wrong",
            "signature-stale",
            "signature-replayed",
            "signature-tampered",
        ),
        OPEN,
    ),
    "read-answered": answer_with("/billing/plan$", 503),
    "question-answered": answer_with(MESSAGES, 503),
    "count-answered": answer_with("/count_tokens$", 503),
    "write-answered": answer_with("/rotate$", 503),
    "access-not-echoed": edit_json("", put("error", "message", to="sk-nex-this-key-was-never-made-000000"), status=401),
    "access-schemes": answer_with("/v1beta/", 401, when=lambda request: "x-goog-api-key" in request.headers),
    "access-key-on-console": edit_json(DASHBOARD, put("view_mode", to="business")),
    "access-rotated": edit_json("/rotate$", put("rotate_grace_until", to="2030-01-01T00:00:00Z")),
    "error-unknown-model": replace_status(404, 422),
    "error-malformed": edit_json(CHAT, put("error", "code", to="bad"), status=400),
    "error-param": edit_json(CHAT, drop("error", "param"), status=400),
    "error-too-long": replace_status(400, 200),
    "error-unsupported": replace_status(400, 501),
    "error-validation": edit_json("", lambda value: {"detail": value["detail"][:1]}, status=422),
    "error-body-validation": edit_json(
        "", lambda value: {"detail": [{"loc": ["body"], "msg": "", "type": ""}]}, status=422
    ),
    "error-no-such-key": replace_status(404, 400),
    "error-unknown-path": edit_json("", lambda value: {"oops": True}, status=404),
    "error-wrong-method": set_headers(allow=None),
    "error-router": edit_json("", drop("errCode"), status=400),
    "error-request-id": edit_json("", put("request_id", to="another"), status=400),
    "error-too-large": replace_status(413, 400),
    "key-list-secrets": edit_json(KEYS, put("items", 0, "key", to="sk-nex-shown"), method="GET"),
    "key-list-order": edit_json(KEYS, make_reversal("items"), method="GET"),
    "key-list-read": edit_json(ONE_KEY, put("name", to="another"), method="GET"),
    "key-secret-once": edit_json(ONE_KEY, put("key", to="sk-nex-shown"), method="GET"),
    "key-prefix": edit_json("/rotate$", put("key_prefix", to="sk-nex-another")),
    "key-read-back": edit_json(KEYS, put("rpm_limit", to=None), method="POST"),
    "key-partial-update": edit_json(ONE_KEY, put("tpm_limit", to=None), method="PUT"),
    "key-switching": edit_json("/disable$", put("status", to="active")),
    "key-rotation": edit_json("/rotate$", put("id", to="0d3f9b62-8a14-4b7e-9c50-e6a1f27d4b83")),
    "key-rotation-refused": replace_status(409, 422),
    "key-deletion": make_swallowing_fault("DELETE", ONE_KEY, 204),
    "key-unrestricted": answer_with(
        "/v1/models$",
        200,
        {"object": "list", "data": []},
        when=lambda request: KEY not in request.headers["authorization"],
    ),
    "key-life": edit_json(ONE_KEY, put("status", to="active"), method="GET"),
    **dict.fromkeys(
        (
            "isolation-listed",
            "isolation-id",
            "isolation-lists",
            "isolation-account",
            "isolation-usage",
            "isolation-teams",
        ),
        merge_organisations(),
    ),
    "usage-rows": edit_json(USAGE, put("*", "total_tokens", to=one_more)),
    "usage-groupings": answer_with(USAGE, 200, [], when=lambda request: "group_by=team" in request.query),
    "usage-window": ignore_parameters(USAGE, "start_date", "end_date"),
    "usage-order": edit_json(USAGE, make_reversal()),
    "usage-filters": ignore_parameters(USAGE, "model", "team_id", "key_id"),
    "usage-limits": replace_status(422, 200),
    "dashboard-window": edit_json(DASHBOARD, lambda value: value["tech"]["daily_trend"].pop(0) and None),
    "dashboard-sums": edit_json(DASHBOARD, put("tech", "total_tokens", to=one_more)),
    "dashboard-business": edit_json(DASHBOARD, put("business", "team_cost_ranking", 0, "cost_rmb", to=raise_price)),
    "dashboard-views": edit_json(DASHBOARD, put("business", "total_cost_rmb", to=raise_price)),
    "dashboard-usage": edit_json(DASHBOARD, put("tech", "total_cost_rmb", to=raise_price)),
    "usage-conserved": edit_json(CHAT, put("usage", "prompt_tokens", to=one_more)),
    "usage-refused-free": edit_json(USAGE, number_rows),
    "invoice-order": edit_json(INVOICES, make_reversal()),
    "invoice-pages": ignore_parameters(INVOICES, "page_size"),
    "invoice-count": set_headers(x_total_count="1"),
    "invoice-amount": edit_json(INVOICES, put("*", "amount_rmb", to="1.00")),
    "account-month": edit_json(ACCOUNT, put("month_to_date_cost_rmb", to=raise_price)),
    "balance-falls": edit_json(ACCOUNT, put("balance_rmb", to="8600.0000")),
    "plan-models": edit_json("/plan$", put("models", to=["one"])),
    "budget-progress": edit_json(DASHBOARD, put("business", "budget_progress_pct", to="99.99")),
    "signature-right": answer_with("", 403, when=lambda request: "%20" in request.query),
    "router-exclusions": replace_status(400, 200),
    "router-paging-bounds": replace_status(400, 200),
    "router-buckets": edit_json(CHARTS, remove_point),
    "router-default-window": answer_with(
        CHARTS, 200, {"data": {"callVolume": []}}, when=lambda request: not request.query
    ),
    "router-half-open": edit_json(METRICS, put("data", "totalCalls", to=one_more)),
    "router-views": edit_json(METRICS, put("data", "inputTokens", to=one_more)),
    "router-curves": edit_json(CHARTS, put("data", "qpm", "*", "value", to=lambda value: value * 3 + 1)),
    "router-log-rows": edit_json(LOGS, put("data", "list", "*", "totalTokens", to=one_more)),
    "router-log-order": ignore_parameters(LOGS, "orderDirection"),
    "router-log-pages": ignore_parameters(LOGS, "pageIndex", "nextToken"),
    "router-filters": ignore_parameters("/modelRouter/", "modelId"),
    "stream-asked": edit_request(CHAT, lambda body: body.pop("stream", None)),
    "stream-adds-up": edit_stream(lambda text: text.replace('"role":"assistant"', '"role":7'), CHAT),
    "stream-plain": edit_stream(
        lambda text: re.sub('"finish_reason":"[a-z]+"', '"finish_reason":"content_filter"', text), CHAT
    ),
    "stream-complete": edit_stream(
        lambda text: "\n\n".join(p for n, p in enumerate(text.split("\n\n")) if n != 3), CHAT
    ),
    "stream-usage": edit_stream(lambda text: text.replace('"prompt_tokens":', '"prompt_tokens":9'), CHAT),
    "stream-usage-asked": edit_request(CHAT, lambda body: body.update(stream_options={"include_usage": True})),
    "stream-characters": edit_stream(lambda text: re.sub("[^\\x00-\\x7f]", "\ufffd", text)),
    "stream-array": answer_with(":streamGenerateContent$", 200, {}),
    "tool-fragments": edit_stream(lambda text: text.replace('"tool_calls":[{"index":0', '"tool_calls":[{"index":1')),
    "usage-sums": edit_json(CHAT, put("usage", "total_tokens", to=one_more)),
    "usage-details": edit_json(CHAT, put("usage", "prompt_tokens_details", "cached_tokens", to=99999)),
    "usage-longer": edit_json(CHAT, put("usage", "prompt_tokens", to=7)),
    "usage-counted": edit_json("/count_tokens$", put("input_tokens", to=one_more)),
    "max-tokens": edit_request(CHAT, lambda body: body.update(max_tokens=60)),
    "stop": edit_request(CHAT, lambda body: body.pop("stop", None)),
    "choices": edit_request(CHAT, lambda body: body.pop("n", None)),
    "ids-unique": edit_json(CHAT, put("id", to="chatcmpl-same")),
    "model-named": edit_json(CHAT, put("model", to="another")),
    "tool-calls": edit_json(
        CHAT, put("choices", 0, "message", "tool_calls", 0, "function", "arguments", to='{"city":')
    ),
    "json-answers": edit_request(CHAT, lambda body: body.pop("response_format", None)),
    "unknown-members": only_seven(b"x_never_heard_of"),
    "limit-raised": answer_with(CHAT, 429, when=lambda request: count_calls() > 2),
    "limit-headers": set_headers(x_ratelimit_remaining_requests="5"),
    "limit-retry-after": set_headers(retry_after="0"),
    "limit-refusal": set_headers(x_ratelimit_remaining_requests="5"),
    "limit-concurrency": replace(
        edit_json(CHAT, put("error", "code", to="too_busy"), status=429),
        on_request=lambda request: replace(request, headers={**request.headers, "x-mock-scenario": "pace; ttft=0.3"}),
    ),
    "robust-bodies": fail_when(lambda request: b"\xff" in request.body),
    "robust-languages": fail_when(lambda request: "🙂".encode() in request.body),
    "robust-empty": fail_when(lambda request: b'"content":""' in request.body),
    "robust-parameters": fail_when(lambda request: "range_days=1000" in request.query),
    "robust-headers": fail_when(lambda request: request.headers.get("content-type") == "text/plain"),
    "robust-console": fail_when(lambda request: request.body == b"[]"),
    "robust-big": fail_when(lambda request: len(request.body) > 1 << 20),
    "robust-slow": fail_when(lambda request: bool(request.body)),
    "models-agree": edit_json("/gateway/models$", lambda value: {"items": value["items"][1:], "total": 1}),
    "models-unique": edit_json("/v1/models$", lambda value: {**value, "data": [*value["data"], value["data"][0]]}),
    "models-readable": answer_with("/v1/models/claude", 404),
    "models-paged": ignore_parameters("/v1beta/models$", "pageSize"),
    "models-aliases": answer_with("/v1/models/sonnet", 404),
    "models-case": replace_status(404, 200),
    "models-callable": answer_with(CHAT, 404, when=lambda request: b"gpt-5.4" in request.body),
}


# each law of an extension has a mutant of its own, in test_mutants_found
@pytest.mark.parametrize("law", [law.name for law in LAWS if law.area not in EXTENSIONS])
def test_every_law_sees_what_breaks_it(law: str, check_gateway: CheckGateway) -> None:
    CALLS["count"] = 1
    report = check_gateway(law, fault=BREAKS[law])
    assert law in {finding.law for finding in report.findings}, [
        (name, cell.reason) for name, cell in report.matrix[law].items()
    ]


RULES_BROKEN: dict[str, tuple[str, Fault]] = {
    "no-server-error": ("key-list-order", fail_when(lambda request: "/keys" in request.path)),
    "status-declared": ("key-list-order", replace_status(200, 418)),
    "content-type": ("key-list-order", set_headers(content_type="text/plain")),
    "schema": ("key-list-order", edit_json(KEYS, put("total", to="many"))),
    "headers": ("key-list-order", set_headers(x_request_id=None)),
    "stream-events": ("stream-asked", edit_stream(lambda text: text.replace("chat.completion.chunk", "something"))),
    "stream-order": ("stream-asked", edit_stream(lambda text: text.replace("data: [DONE]\n\n", ""))),
}


@pytest.mark.parametrize("rule", [rule.name for rule in RULES if rule.name != "answers"])
def test_every_rule_sees_what_breaks_it(rule: str, check_gateway: CheckGateway) -> None:
    law, fault = RULES_BROKEN[rule]
    report = check_gateway(law, rule, fault=fault)
    assert rule in {finding.law for finding in report.findings}


def test_laws_have_names_sentences_and_operations_of_the_contract() -> None:
    names = [law.name for law in LAWS]
    assert len(set(names)) == len(names)
    operations = set(load_gateway_contract(extensions=EXTENSIONS).operations)
    for law in LAWS:
        assert set(law.operations) <= operations, law.name
        assert law.sentence.endswith("."), law.name


def test_every_law_of_an_extension_has_a_mutant() -> None:
    found = {law for mutant in MUTANTS.values() for law in mutant.found_by}
    assert {law.name for law in LAWS if law.area in EXTENSIONS} <= found


def remove_points(request: SeenRequest, response: Any) -> Any:
    """Return charts without points, as after an hour without calls."""
    if response.status != 200 or not re.search(CHARTS, request.path) or "timeRange=1h" not in request.query:
        return response
    return response.with_json({**response.json, "data": {curve: [] for curve in response.json["data"]}})


def test_a_gateway_that_was_idle_for_an_hour_tells_its_time_all_the_same(check_gateway: CheckGateway) -> None:
    laws = [law.name for law in LAWS if law.name.startswith("router-")]
    report = check_gateway(*laws, fault=Fault(on_response=remove_points))
    assert set(laws) <= set(report.matrix)
    assert not report.findings
    assert not [reason for reason, _ in report.unchecked if "time" in reason]


def test_a_gateway_without_a_limit_of_concurrent_calls_breaks_nothing(check_gateway: CheckGateway) -> None:
    """Such a gateway ignores the member, or does not say it."""
    slow = BREAKS["limit-concurrency"].on_request

    def forget(request: SeenRequest) -> SeenRequest:
        data = request.json or {}
        if data.pop("concurrency_limit", None):
            return replace(request, body=orjson.dumps(data))
        return slow(request)

    report = check_gateway("limit-concurrency", fault=Fault(on_request=forget))
    assert not report.findings
    assert [reason for reason, _ in report.unchecked] == ["the gateway has no concurrency limit of a key"]


def test_a_limit_of_concurrent_calls_is_kept(check_gateway: CheckGateway) -> None:
    report = check_gateway("limit-concurrency", fault=Fault(on_request=BREAKS["limit-concurrency"].on_request))
    assert not report.findings
    assert report.matrix["limit-concurrency"]["createChatCompletion"].state == "kept"


def test_the_mock_itself_breaks_none(check_gateway: CheckGateway) -> None:
    report = check_gateway()
    assert report.all_kept, str(report)
    assert report.counts.requests > 500
    assert not report.keys_left
