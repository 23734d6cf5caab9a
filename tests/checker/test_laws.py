"""Every law sees what it is there for: a server that breaks it, and only what is broken."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aione_mock.checker.laws import LAWS, RULES
from aione_mock.structs import replace
from tests.checker.broken import (
    KEY,
    Asked,
    Change,
    answers,
    anyone,
    edits,
    fails,
    headers,
    lines,
    members,
    one_organisation,
    restatus,
    without,
)
from tests.checker.conftest import Checked

CHAT, MESSAGES, GENERATE = "/chat/completions$", "/v1/messages$", ":generateContent$"
KEYS, ONE_KEY = "/gateway/keys$", "/gateway/keys/[^/]+$"
USAGE, DASHBOARD, INVOICES, ACCOUNT = "/obs/usage$", "/obs/dashboard$", "/invoices$", "/account$"
CHARTS, METRICS, LOGS = "/charts$", "/metrics$", "/logs$"
OPEN = anyone()


def put(*way: str | int, to: Any) -> Any:
    """An edit: put a value, or what a function makes of the present one, at a place; `*` is every place of a list."""

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
    """An edit: leave a member out."""

    def edit(value: Any) -> None:
        for step in way[:-1]:
            value = value.get(step) if isinstance(value, dict) else value[step]
        if isinstance(value, dict):
            value.pop(way[-1], None)

    return edit


def thinned(value: Any) -> None:
    """An edit: one point less, where there are any; a mock that nobody called for an hour has none for that."""
    del value["data"]["qpm"][3:4]


def turned(*way: str) -> Any:
    """An edit: turn a list round."""

    def edit(value: Any) -> Any:
        here = value
        for step in way:
            here = here[step]
        here.reverse()

    return edit


def said_in(asked: Asked, *words: bytes) -> bool:
    return any(word in asked.body for word in words)


def one_more(number: int) -> int:
    return number + 1


def dearer(money: str) -> str:
    return f"{float(money) + 1:.4f}"


CALLS = {"count": 0}


def counted() -> int:
    CALLS["count"] += 1
    return CALLS["count"]


def counting_up(rows: Any) -> Any:
    CALLS["count"] += 1
    extra = {"date": "2026-11-20", "model": None, "team_id": None, "key_id": None, "requests": 1, "cost_rmb": "0.0001"}
    return [*rows, {**extra, "prompt_tokens": CALLS["count"], "completion_tokens": 0, "total_tokens": CALLS["count"]}]


def swallowed(method: str, path: str, status: int) -> Change:
    """A request that is answered without being done."""

    def inwards(asked: Asked) -> Asked:
        return (
            replace(asked, method="GET", path="/v1/models", body=b"")
            if (asked.method == method and re.search(path, asked.path))
            else asked
        )

    def outwards(asked: Asked, answered: Any) -> Any:
        return replace(answered, status=status, body=b"") if inwards(asked) is not asked else answered

    return Change(inwards, outwards)


def only_seven(*words: bytes) -> Change:
    return answers("", 400, {"error": {"message": "no", "type": "x"}}, when=lambda asked: said_in(asked, *words))


BREAKS: dict[str, Change] = {
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
    "access-not-echoed": edits("", put("error", "message", to="sk-nex-this-key-was-never-made-000000"), status=401),
    "access-schemes": answers("/v1beta/", 401, when=lambda asked: "x-goog-api-key" in asked.headers),
    "access-key-on-console": edits(DASHBOARD, put("view_mode", to="business")),
    "access-rotated": edits("/rotate$", put("rotate_grace_until", to="2030-01-01T00:00:00Z")),
    "error-unknown-model": restatus(404, 422),
    "error-malformed": edits(CHAT, put("error", "code", to="bad"), status=400),
    "error-param": edits(CHAT, drop("error", "param"), status=400),
    "error-too-long": restatus(400, 200),
    "error-unsupported": restatus(400, 501),
    "error-validation": edits("", lambda value: {"detail": value["detail"][:1]}, status=422),
    "error-body-validation": edits(
        "", lambda value: {"detail": [{"loc": ["body"], "msg": "", "type": ""}]}, status=422
    ),
    "error-no-such-key": restatus(404, 400),
    "error-unknown-path": edits("", lambda value: {"oops": True}, status=404),
    "error-wrong-method": headers(allow=None),
    "error-router": edits("", drop("errCode"), status=400),
    "error-request-id": edits("", put("request_id", to="another"), status=400),
    "error-too-large": restatus(413, 400),
    "key-list-secrets": edits(KEYS, put("items", 0, "key", to="sk-nex-shown"), method="GET"),
    "key-list-order": edits(KEYS, turned("items"), method="GET"),
    "key-list-read": edits(ONE_KEY, put("name", to="another"), method="GET"),
    "key-secret-once": edits(ONE_KEY, put("key", to="sk-nex-shown"), method="GET"),
    "key-prefix": edits("/rotate$", put("key_prefix", to="sk-nex-another")),
    "key-read-back": edits(KEYS, put("rpm_limit", to=None), method="POST"),
    "key-partial-update": edits(ONE_KEY, put("tpm_limit", to=None), method="PUT"),
    "key-switching": edits("/disable$", put("status", to="active")),
    "key-rotation": edits("/rotate$", put("id", to="0d3f9b62-8a14-4b7e-9c50-e6a1f27d4b83")),
    "key-rotation-refused": restatus(409, 422),
    "key-deletion": swallowed("DELETE", ONE_KEY, 204),
    "key-unrestricted": answers(
        "/v1/models$", 200, {"object": "list", "data": []}, when=lambda asked: KEY not in asked.headers["authorization"]
    ),
    "key-life": edits(ONE_KEY, put("status", to="active"), method="GET"),
    **dict.fromkeys(
        (
            "isolation-listed",
            "isolation-id",
            "isolation-lists",
            "isolation-account",
            "isolation-usage",
            "isolation-teams",
        ),
        one_organisation(),
    ),
    "usage-rows": edits(USAGE, put("*", "total_tokens", to=one_more)),
    "usage-groupings": answers(USAGE, 200, [], when=lambda asked: "group_by=team" in asked.query),
    "usage-window": without(USAGE, "start_date", "end_date"),
    "usage-order": edits(USAGE, turned()),
    "usage-filters": without(USAGE, "model", "team_id", "key_id"),
    "usage-limits": restatus(422, 200),
    "dashboard-window": edits(DASHBOARD, lambda value: value["tech"]["daily_trend"].pop(0) and None),
    "dashboard-sums": edits(DASHBOARD, put("tech", "total_tokens", to=one_more)),
    "dashboard-business": edits(DASHBOARD, put("business", "team_cost_ranking", 0, "cost_rmb", to=dearer)),
    "dashboard-views": edits(DASHBOARD, put("business", "total_cost_rmb", to=dearer)),
    "dashboard-usage": edits(DASHBOARD, put("tech", "total_cost_rmb", to=dearer)),
    "money-text": edits(ACCOUNT, put("balance_rmb", to=float)),
    "usage-conserved": edits(CHAT, put("usage", "prompt_tokens", to=one_more)),
    "usage-refused-free": edits(USAGE, counting_up),
    "invoice-order": edits(INVOICES, turned()),
    "invoice-pages": without(INVOICES, "page_size"),
    "invoice-count": headers(x_total_count="1"),
    "invoice-amount": edits(INVOICES, put("*", "amount_rmb", to="1.00")),
    "account-month": edits(ACCOUNT, put("month_to_date_cost_rmb", to=dearer)),
    "balance-falls": edits(ACCOUNT, put("balance_rmb", to="8600.0000")),
    "plan-models": edits("/plan$", put("models", to=["one"])),
    "budget-progress": edits(DASHBOARD, put("business", "budget_progress_pct", to="99.99")),
    "signature-right": answers("", 403, when=lambda asked: "%20" in asked.query),
    "router-exclusions": restatus(400, 200),
    "router-paging-bounds": restatus(400, 200),
    "router-buckets": edits(CHARTS, thinned),
    "router-default-window": answers(CHARTS, 200, {"data": {"callVolume": []}}, when=lambda asked: not asked.query),
    "router-half-open": edits(METRICS, put("data", "totalCalls", to=one_more)),
    "router-views": edits(METRICS, put("data", "inputTokens", to=one_more)),
    "router-curves": edits(CHARTS, put("data", "qpm", "*", "value", to=lambda value: value * 3 + 1)),
    "router-log-rows": edits(LOGS, put("data", "list", "*", "totalTokens", to=one_more)),
    "router-log-order": without(LOGS, "orderDirection"),
    "router-log-pages": without(LOGS, "pageIndex", "nextToken"),
    "router-filters": without("/modelRouter/", "modelId"),
    "stream-asked": members(CHAT, lambda body: body.pop("stream", None)),
    "stream-adds-up": lines(lambda text: text.replace('"role":"assistant"', '"role":7'), CHAT),
    "stream-plain": lines(
        lambda text: re.sub('"finish_reason":"[a-z]+"', '"finish_reason":"content_filter"', text), CHAT
    ),
    "stream-complete": lines(lambda text: "\n\n".join(p for n, p in enumerate(text.split("\n\n")) if n != 3), CHAT),
    "stream-usage": lines(lambda text: text.replace('"prompt_tokens":', '"prompt_tokens":9'), CHAT),
    "stream-usage-asked": members(CHAT, lambda body: body.update(stream_options={"include_usage": True})),
    "stream-characters": lines(lambda text: re.sub("[^\\x00-\\x7f]", "\ufffd", text)),
    "stream-array": answers(":streamGenerateContent$", 200, {}),
    "tool-fragments": lines(lambda text: text.replace('"tool_calls":[{"index":0', '"tool_calls":[{"index":1')),
    "usage-sums": edits(CHAT, put("usage", "total_tokens", to=one_more)),
    "usage-details": edits(CHAT, put("usage", "prompt_tokens_details", "cached_tokens", to=99999)),
    "usage-longer": edits(CHAT, put("usage", "prompt_tokens", to=7)),
    "usage-counted": edits("/count_tokens$", put("input_tokens", to=one_more)),
    "max-tokens": members(CHAT, lambda body: body.update(max_tokens=60)),
    "stop": members(CHAT, lambda body: body.pop("stop", None)),
    "choices": members(CHAT, lambda body: body.pop("n", None)),
    "ids-unique": edits(CHAT, put("id", to="chatcmpl-same")),
    "model-named": edits(CHAT, put("model", to="another")),
    "tool-calls": edits(CHAT, put("choices", 0, "message", "tool_calls", 0, "function", "arguments", to='{"city":')),
    "json-answers": members(CHAT, lambda body: body.pop("response_format", None)),
    "unknown-members": only_seven(b"x_never_heard_of"),
    "limit-raised": answers(CHAT, 429, when=lambda asked: counted() > 2),
    "limit-headers": headers(x_ratelimit_remaining_requests="5"),
    "limit-retry-after": headers(retry_after="0"),
    "limit-refusal": headers(x_ratelimit_remaining_requests="5"),
    "robust-bodies": fails(lambda asked: b"\xff" in asked.body),
    "robust-languages": fails(lambda asked: "🙂".encode() in asked.body),
    "robust-empty": fails(lambda asked: b'"content":""' in asked.body),
    "robust-parameters": fails(lambda asked: "range_days=1000" in asked.query),
    "robust-headers": fails(lambda asked: asked.headers.get("content-type") == "text/plain"),
    "robust-console": fails(lambda asked: asked.body == b"[]"),
    "robust-big": fails(lambda asked: len(asked.body) > 1 << 20),
    "robust-slow": fails(lambda asked: bool(asked.body)),
    "models-agree": edits("/gateway/models$", lambda value: {"items": value["items"][1:], "total": 1}),
    "models-unique": edits("/v1/models$", lambda value: {**value, "data": [*value["data"], value["data"][0]]}),
    "models-readable": answers("/v1/models/claude", 404),
    "models-paged": without("/v1beta/models$", "pageSize"),
    "models-aliases": answers("/v1/models/sonnet", 404),
    "models-case": restatus(404, 200),
    "models-callable": answers(CHAT, 404, when=lambda asked: b"gpt-5.4" in asked.body),
}


@pytest.mark.parametrize("law", [law.name for law in LAWS])
def test_every_law_sees_what_breaks_it(law: str, checked: Checked) -> None:
    CALLS["count"] = 1
    report = checked(law, change=BREAKS[law])
    assert law in {finding.law for finding in report.findings}, [
        (name, cell.reason) for name, cell in report.matrix[law].items()
    ]


RULES_BROKEN: dict[str, tuple[str, Change]] = {
    "no-server-error": ("key-list-order", fails(lambda asked: True)),
    "status-declared": ("key-list-order", restatus(200, 418)),
    "content-type": ("key-list-order", headers(content_type="text/plain")),
    "schema": ("key-list-order", edits(KEYS, put("total", to="many"))),
    "headers": ("key-list-order", headers(x_request_id=None)),
    "stream-events": ("stream-asked", lines(lambda text: text.replace("chat.completion.chunk", "something"))),
    "stream-order": ("stream-asked", lines(lambda text: text.replace("data: [DONE]\n\n", ""))),
}


@pytest.mark.parametrize("rule", [rule.name for rule in RULES if rule.name != "answers"])
def test_every_rule_sees_what_breaks_it(rule: str, checked: Checked) -> None:
    law, change = RULES_BROKEN[rule]
    report = checked(law, rule, change=change)
    assert rule in {finding.law for finding in report.findings}


def test_laws_have_names_sentences_and_operations_of_the_contract(checked: Checked) -> None:
    names = [law.name for law in LAWS]
    assert len(set(names)) == len(names)
    operations = set(checked("key-list-order").operations)
    for law in LAWS:
        assert set(law.operations) <= operations, law.name
        assert law.sentence.endswith("."), law.name


def idle(asked: Asked, answered: Any) -> Any:
    """Nobody called for an hour: its charts have no points."""
    if answered.status != 200 or not re.search(CHARTS, asked.path) or "timeRange=1h" not in asked.query:
        return answered
    return answered.saying({**answered.json, "data": {curve: [] for curve in answered.json["data"]}})


def test_a_gateway_that_was_idle_for_an_hour_tells_its_time_all_the_same(checked: Checked) -> None:
    laws = [law.name for law in LAWS if law.name.startswith("router-")]
    report = checked(*laws, change=Change(outwards=idle))
    assert set(laws) <= set(report.matrix)
    assert not report.findings
    assert not [reason for reason, _ in report.unchecked if "time" in reason]


def test_the_mock_itself_breaks_none(checked: Checked) -> None:
    report = checked()
    assert report.kept, str(report)
    assert report.counts.requests > 500
    assert not report.keys_left
