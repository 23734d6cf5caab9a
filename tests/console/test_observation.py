"""ModelRouter's observation group over a real socket: windows, filters, pages, signatures, and the vendor's own SDK."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from alibabacloud_aicontent20240611 import models
from alibabacloud_aicontent20240611.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aione_mock.server.app import Mock
from aione_mock.server.sessions import Session
from tests.timing import cost

from .client import ACCESS, KEYS, OBSERVATION, Console

NAMES = ("charts", "metrics", "logs")
NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
CURVES = ["qpm", "tpm", "concurrency", "callVolume", "successRate", "responseTime"]


def at(**back: float) -> str:
    """Return a time before the clock's, as ModelRouter writes it."""
    return (NOW - timedelta(**back)).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- windows and buckets


@pytest.mark.parametrize(
    ("asked", "points", "minutes"),
    [
        ({"timeRange": "1h"}, 60, 1),
        ({"timeRange": "6h"}, 72, 5),
        ({"timeRange": "24h"}, 96, 15),
        ({}, 96, 15),
        ({"timeRange": "7d"}, 84, 120),
        ({"timeRange": "30d"}, 120, 360),
        ({"startTime": at(hours=3), "endTime": at()}, 180, 1),
        ({"startTime": at(hours=3, minutes=1), "endTime": at()}, 37, 5),
        ({"startTime": at(hours=15), "endTime": at()}, 180, 5),
        ({"startTime": at(hours=45), "endTime": at()}, 180, 15),
        ({"startTime": at(days=15), "endTime": at()}, 180, 120),
        ({"startTime": at(days=45), "endTime": at()}, 180, 360),
        ({"startTime": "2026-11-20T08:00:00+08:00", "endTime": "2026-11-20T01:00:00Z"}, 60, 1),
    ],
)
def test_buckets_follow_the_window(console: Console, asked: dict[str, str], points: int, minutes: int) -> None:
    charts = console.observe("charts", **asked)
    assert [*charts] == CURVES
    first = {name: [p for p in charts[name] if p["label"] == "gemini-2.5-flash"] for name in CURVES}
    stamps = [datetime.fromisoformat(point["timestamp"]) for point in first["callVolume"]]
    assert len(stamps) == points
    assert {b - a for a, b in pairwise(stamps)} == {timedelta(minutes=minutes)}
    for name in CURVES:
        assert [point["timestamp"] for point in first[name]] == [point["timestamp"] for point in first["qpm"]]
        assert len(charts[name]) == points * len({point["label"] for point in charts[name]})


def test_a_window_that_ends_now_holds_the_present_minute(console: Console, session: Session) -> None:
    session.clock.advance(86400 + 0.5)
    assert console.observe("metrics", timeRange="1h")["totalCalls"] == 0
    console.chat()
    assert console.observe("metrics", timeRange="1h")["totalCalls"] == 1
    (point,) = [p for p in console.observe("charts", timeRange="1h")["callVolume"] if p["value"]]
    assert (point["timestamp"], point["label"], point["value"]) == ("2026-11-21T10:30:00Z", "gpt-5.4", 1)
    session.clock.advance(3540)
    assert console.observe("metrics", timeRange="1h")["totalCalls"] == 1
    session.clock.advance(60)
    assert console.observe("metrics", timeRange="1h")["totalCalls"] == 0
    assert console.observe("charts", timeRange="1h") == {name: [] for name in CURVES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"timeRange": "99y"}, "timeRange"),
        ({"timeRange": ""}, "timeRange"),
        ({"timeRange": "1h", "startTime": at(hours=1)}, "timeRange"),
        ({"timeRange": "1h", "startTime": at(hours=1), "endTime": at()}, "timeRange"),
        ({"startTime": at(hours=1)}, "endTime"),
        ({"endTime": at()}, "startTime"),
        ({"startTime": "2026-11-20 10:30:00", "endTime": at()}, "startTime"),
        ({"startTime": at(hours=1), "endTime": "now"}, "endTime"),
        ({"startTime": "0000-01-01T00:00:00Z", "endTime": at()}, "startTime"),
        ({"startTime": at(), "endTime": at()}, "startTime"),
        ({"startTime": at(), "endTime": at(hours=1)}, "startTime"),
        ({"startTime": at(days=45, seconds=1), "endTime": at()}, "endTime"),
        ({"clientId": "abc"}, "clientId"),
        ({"clientId": "1", "clientIds": "1,2"}, "clientIds"),
        ({"clientIds": ""}, "clientIds"),
        ({"clientIds": "1,,2"}, "clientIds"),
        ({"memberUserIds": "30001, 30002"}, "memberUserIds"),
        ({"apiKeyId": "1.5"}, "apiKeyId"),
        ({"modelId": ""}, "modelId"),
    ],
)
def test_bad_parameters_are_named(console: Console, name: str, asked: dict[str, str], parameter: str) -> None:
    assert console.read_rejection(name, **asked) == f"InvalidParameter.{parameter}"


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"pageSize": 0}, "pageSize"),
        ({"pageSize": 51}, "pageSize"),
        ({"pageIndex": 0}, "pageIndex"),
        ({"pageIndex": 2**31}, "pageIndex"),
        ({"maxResults": 51}, "maxResults"),
        ({"orderDirection": "asc"}, "orderDirection"),
        ({"needTotalCount": "maybe"}, "needTotalCount"),
        ({"nextToken": "xyz"}, "nextToken"),
        ({"nextToken": "0"}, "nextToken"),
        ({"nextToken": "9" * 5000}, "nextToken"),
        ({"nextToken": "٣"}, "nextToken"),
        ({"orderBy": "totalTokens", "timeRange": "30d"}, "orderBy"),
    ],
)
def test_bad_pages_are_named(console: Console, asked: dict[str, Any], parameter: str) -> None:
    assert console.read_rejection("logs", **asked) == f"InvalidParameter.{parameter}"


# --- filters


def numbers(console: Console, field: str) -> list[int]:
    rows = [row for page in (1, 2, 3, 4) for row in console.observe("logs", pageSize=50, pageIndex=page)["list"]]
    return sorted({row[field] for row in rows})


@pytest.mark.parametrize(("field", "parameter"), [("apiKeyId", "apiKeyId"), ("modelId", "modelId")])
def test_a_filter_parts_the_whole(console: Console, session: Session, field: str, parameter: str) -> None:
    everything = range(1, 20)
    parts = [console.observe("metrics", **{parameter: number})["totalCalls"] for number in everything]
    assert sum(parts) == console.observe("metrics")["totalCalls"]
    for number in numbers(console, field):
        logs = console.observe("logs", **{parameter: number})
        assert logs["total"] == parts[number - 1] > 0
        assert {row[field] for row in logs["list"]} == {number}


def test_departments_and_their_members(console: Console) -> None:
    def calls(**asked: Any) -> int:
        found: int = console.observe("metrics", timeRange="7d", **asked)["totalCalls"]
        return found

    teams = {number: calls(clientId=number) for number in range(1, 7)}
    assert all(teams.values())
    assert calls(clientIds="1,2,3,4,5,6") == sum(teams.values()) < calls(), "one key belongs to no department"
    assert calls(clientId=0) == calls() - sum(teams.values()), "which lists show as 0"
    assert calls(clientIds="3,999") == teams[3]
    assert calls(clientIds="9" * 5000) == calls(clientId=-1) == calls(modelId=0) == calls(apiKeyId=10**17) == 0
    # absent: the department and its members; empty: the department's own; named: those alone
    own, ann, bob = (calls(clientId=1, memberUserIds=text) for text in ("", "30002", "30001"))
    assert own + ann == teams[1]
    assert own > 0 < ann
    assert bob == 0
    assert calls(memberUserIds="30002,30006") == ann + calls(memberUserIds="30006")
    assert calls(memberUserIds="30006", clientId=1) == 0


def test_the_call_of_the_vendors_page_shows_points(console: Console) -> None:
    ids = {"clientId": 1, "apiKeyId": 1, "modelId": 1}
    january = console.observe("charts", **ids, startTime="2024-01-01T00:00:00Z", endTime="2024-01-02T00:00:00Z")
    assert {(curve, len(points)) for curve, points in january.items()} == {(curve, 96) for curve in CURVES}
    assert {point["value"] for points in january.values() for point in points} == {0}
    assert sum(point["value"] for point in console.observe("charts", **ids)["callVolume"]) > 0


def test_a_made_key_has_a_number_and_keeps_it_after_its_end(console: Console) -> None:
    made = console.create(team_id="c2a9d1f4-6b3e-4f08-8e25-71d0a4b93c56")
    answer = console.chat(made["key"])
    console.ask("DELETE", f"{KEYS}/{made['id']}")
    row = console.observe("logs")["list"][0]
    assert row["requestId"] == answer.headers["x-request-id"]
    assert (row["clientId"], row["apiKeyId"] > 1000) == (1, True)
    assert console.observe("metrics", apiKeyId=row["apiKeyId"])["totalCalls"] == 1


# --- logs


def test_a_row_says_what_was_called(console: Console) -> None:
    good = console.chat(model="sonnet-4-6")
    bad = console.chat(scenario="upstream_timeout")
    console.chat(scenario="rate_limit_exceeded")
    failed, row = console.observe("logs", pageSize=2)["list"]
    usage = good.json()["usage"]
    assert (row["requestId"], failed["requestId"]) == (good.headers["x-request-id"], bad.headers["x-request-id"])
    assert (row["status"], row["statusCode"], failed["status"], failed["statusCode"]) == ("success", 200, "failed", 504)
    assert (row["promptTokens"], row["completionTokens"], row["totalTokens"]) == tuple(
        usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    assert row["usage"] == {name: row[name] for name in ("promptTokens", "completionTokens", "totalTokens")} | {
        "imageCount": 0,
        "videoCount": 0,
        "videoDuration": 0,
    }
    assert (row["modelCode"], row["modelName"], row["modelType"], row["symbol"]) == (
        "claude-sonnet-4-6",
        "Claude Sonnet 4.6",
        "Chat",
        "anthropic",
    )
    assert (row["requestTime"], row["requestBody"], row["deleteTag"]) == ("2026-11-20T10:30:00Z", "{}", 0)
    assert failed["totalTokens"] == 0


def test_calls_under_a_still_clock_come_newest_first(console: Console) -> None:
    ids = [console.chat(text=str(number)).headers["x-request-id"] for number in range(8)]
    assert [row["requestId"] for row in console.observe("logs", pageSize=8)["list"]] == ids[::-1]


def every(console: Console, **asked: Any) -> list[dict[str, Any]]:
    """Return all rows, page after page by token."""
    rows, token = [], ""
    while True:
        answer = console.send_signed(
            "logs", "&".join(f"{k}={v}" for k, v in {**asked, "nextToken": token}.items())
        ).json()
        rows += answer["data"]["list"]
        assert (answer["maxResults"], str(answer["data"]["nextToken"] or "")) == (
            answer["data"]["maxResults"],
            answer["nextToken"],
        )
        token = answer["nextToken"]
        if not token:
            assert len(rows) == answer["data"]["total"]
            return rows


def test_pages_by_token_and_by_number_are_the_same(console: Console) -> None:
    asked = {"timeRange": "24h", "modelId": 5}
    rows = every(console, **asked, maxResults=50)
    assert len({row["id"] for row in rows}) == len(rows) > 100
    last = -(-len(rows) // 20)
    pages = [console.observe("logs", **asked, pageSize=20, pageIndex=page) for page in range(1, last + 2)]
    assert [row for page in pages for row in page["list"]] == rows
    assert [page["nextToken"] for page in pages] == [*range(2, last + 1), 0, 0]
    assert pages[-1]["list"] == []
    assert console.observe("logs", **asked, pageIndex=2**31 - 1, pageSize=50)["list"] == []
    times = [row["requestTime"] for row in rows]
    assert sorted(times, key=datetime.fromisoformat, reverse=True) == times


@pytest.mark.parametrize("field", ["requestTime", "totalTokens", "responseTimeMs", "modelCode", "status", "id"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_rows_can_be_sorted(console: Console, field: str, direction: str) -> None:
    order: Callable[[Any], Any] = datetime.fromisoformat if field == "requestTime" else lambda value: value
    asked = {"timeRange": "7d", "clientId": 6, "orderBy": field, "orderDirection": direction, "maxResults": 50}
    values = [order(row[field]) for row in every(console, **asked)]
    assert values == sorted(values, reverse=direction == "DESC")
    assert len({*values}) > 1


def test_an_order_that_does_not_exist_changes_nothing(console: Console) -> None:
    usual = console.observe("logs")
    for field in ("resourceId", "usage"):
        assert console.observe("logs", orderBy=field, orderDirection="ASC", groupBy="x") == usual
    oldest = console.observe("logs", orderDirection="ASC", pageSize=3)["list"]
    last = -(-usual["total"] // 3)
    newest_last = console.observe("logs", pageSize=3, pageIndex=last)["list"]
    assert oldest[0] == newest_last[-1]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    back=st.integers(0, 80 * 24 * 60),
    span=st.integers(1, 4 * 24 * 60),
    asked=st.fixed_dictionaries(
        {},
        optional={
            "clientIds": st.sampled_from(["1", "2,3", "4,5,6"]),
            "modelId": st.integers(1, 12),
            "memberUserIds": st.sampled_from(["", "30002", "30001,30006"]),
            "apiKeyId": st.integers(9, 19),
        },
    ),
)
def test_charts_metrics_and_logs_agree(console: Console, back: int, span: int, asked: dict[str, Any]) -> None:
    asked = asked | {"startTime": at(minutes=back + span), "endTime": at(minutes=back)}
    charts, metrics, logs = (console.observe(name, **asked) for name in NAMES)
    assert sum(point["value"] for point in charts["callVolume"]) == metrics["totalCalls"] == logs["total"]
    width = next(width for width in (1, 5, 15, 120, 360) if width * 180 >= span)
    whole = [point for point in charts["tpm"] if point["value"]]
    if span % width == 0:
        tokens = metrics["inputTokens"] + metrics["outputTokens"]
        assert sum(point["value"] for point in whole) * width == pytest.approx(tokens, abs=0.01)
    if 0 < metrics["totalCalls"] <= 200:
        rows = every(console, **asked, maxResults=50)
        assert sum(row["promptTokens"] for row in rows) == metrics["inputTokens"]
        assert sum(row["completionTokens"] for row in rows) == metrics["outputTokens"]
        good = sum(row["status"] == "success" for row in rows)
        assert metrics["successRate"] == pytest.approx(100 * good / len(rows))
        mean = sum(row["responseTimeMs"] for row in rows) / len(rows)
        assert metrics["avgResponseTime"] == pytest.approx(mean)


# --- signatures


def test_dates_are_judged_by_real_time_even_if_the_clock_stands_still(console: Console, session: Session) -> None:
    session.clock.set(datetime(2031, 5, 1, tzinfo=UTC))
    assert console.send_signed("metrics").status_code == 200
    answer = console.send_signed("metrics", date=session.clock.timestamp())
    assert answer.status_code == 403
    assert "ahead of the server's clock" in answer.json()["message"]
    for seconds, status in [(-840, 200), (840, 200), (-930, 403), (990, 403)]:
        assert console.send_signed("metrics", date=time.time() + seconds).status_code == status


def test_a_nonce_counts_once(console: Console) -> None:
    assert console.send_signed("metrics", x_acs_signature_nonce="once").status_code == 200
    answer = console.send_signed("charts", x_acs_signature_nonce="once")
    assert (answer.status_code, answer.json()["code"]) == (403, "B.Permission.DeniedException")
    assert "nonce" in answer.json()["message"]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"authorization": "acs aione-mock-access-key:c2lnbmF0dXJl"}, "HMAC-SHA1"),
        ({"authorization": "Bearer nex-console-tech"}, "ACS3-HMAC-SHA256"),
        ({"authorization": ""}, "Authorization is missing"),
        ({"x_acs_content_sha256": "0" * 64}, "SHA-256 of the body"),
        ({"x_acs_date": "yesterday"}, "is not a UTC time"),
    ],
)
def test_other_signatures_are_refused_with_a_reason(console: Console, headers: dict[str, str], words: str) -> None:
    answer = console.send_signed("metrics", **headers)
    assert answer.status_code == 403
    assert words in answer.json()["errMessage"] == answer.json()["message"]


@pytest.mark.parametrize(
    ("access", "words"),
    [
        (("nobody", "x"), "not found"),
        ((ACCESS[0], "wrong"), "does not match"),
        (("aione-mock-access-key-disabled", "aione-mock-access-secret-disabled"), "disabled"),
    ],
)
def test_access_keys_must_be_good(console: Console, access: tuple[str, str], words: str) -> None:
    answer = console.send_signed("logs", access=access)
    assert (answer.status_code, words in answer.json()["message"]) == (403, True)


def test_action_and_version_must_be_those_of_the_path(console: Console) -> None:
    wrong = console.send_signed("metrics", x_acs_action="ModelRouterQueryObservationLogs")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "InvalidParameter.x-acs-action")
    wrong = console.send_signed("metrics", x_acs_version="2024-06-11")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "InvalidParameter.x-acs-version")


# --- the vendor's SDK


@pytest.fixture
def sdk(console: Console, monkeypatch: pytest.MonkeyPatch) -> Client:
    for word in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(word, raising=False)
        monkeypatch.delenv(word.upper(), raising=False)
    return client_of(console)


def client_of(console: Console, **changes: Any) -> Client:
    settings = {"access_key_id": ACCESS[0], "access_key_secret": ACCESS[1], "endpoint": console.host}
    return Client(Config(protocol="http", **settings | changes))


def query_observation(kind: str, **params: Any) -> Any:
    return getattr(models, f"ModelRouterQueryObservation{kind}Request")(**params)


def test_the_sdk_works_unchanged(sdk: Client) -> None:
    charts = sdk.model_router_query_observation_charts(query_observation("Charts", client_id=1, time_range="7d"))
    assert (charts.status_code, charts.body.success, charts.body.err_code) == (200, True, None)
    assert charts.body.request_id == charts.headers["x-request-id"]
    volume = sum(point.value for point in charts.body.data.call_volume)
    metrics = sdk.model_router_query_observation_metrics(
        query_observation("Metrics", client_id=1, time_range="7d", need_total_count=True, page_size=10)
    )
    assert metrics.body.data.total_calls == volume > 0
    logs = sdk.model_router_query_observation_logs(
        query_observation("Logs", client_id=1, time_range="7d", max_results=2, need_total_count=False)
    )
    assert (logs.body.data.total, len(logs.body.data.list), logs.body.next_token) == (volume, 2, "2")
    assert logs.body.data.list[0].usage.total_tokens == logs.body.data.list[0].total_tokens
    alone = sdk.model_router_query_observation_metrics(
        query_observation("Metrics", client_id=1, time_range="7d", member_user_ids="")
    )
    assert alone.body.data.total_calls < volume
    chosen = query_observation(
        "Metrics", client_ids="1,2", start_time="2026-11-19T00:00:00Z", end_time="2026-11-20T00:00:00Z"
    )
    assert sdk.model_router_query_observation_metrics(chosen).body.data.total_calls > 0


def test_the_sdk_works_without_waiting(sdk: Client) -> None:
    async def several() -> list[Any]:
        return [
            await sdk.model_router_query_observation_charts_async(query_observation("Charts", time_range="1h")),
            await sdk.model_router_query_observation_metrics_async(query_observation("Metrics", time_range="1h")),
            await sdk.model_router_query_observation_logs_async(
                query_observation("Logs", time_range="1h", page_size=50)
            ),
        ]

    charts, metrics, logs = asyncio.run(several())
    assert sum(point.value for point in charts.body.data.call_volume) == metrics.body.data.total_calls
    assert logs.body.data.total == metrics.body.data.total_calls


def test_the_sdk_reaches_a_session_by_header(sdk: Client, console: Console) -> None:
    name = console.http.headers["x-mock-session"]
    answer = console.chat()
    logs = sdk.model_router_query_observation_logs_with_options(
        query_observation("Logs", page_size=1), {"x-mock-session": name}, RuntimeOptions()
    )
    assert logs.body.data.list[0].request_id == answer.headers["x-request-id"]


def test_the_sdk_understands_refusals(sdk: Client, console: Console) -> None:
    with pytest.raises(ClientException) as caught:
        sdk.model_router_query_observation_charts(query_observation("Charts", time_range="99y"))
    assert (caught.value.code, caught.value.status_code) == ("InvalidParameter.timeRange", 400)
    with pytest.raises(ClientException) as caught:
        client_of(console, access_key_secret="wrong").model_router_query_observation_charts(query_observation("Charts"))
    assert (caught.value.code, caught.value.status_code) == ("B.Permission.DeniedException", 403)
    with pytest.raises(ClientException, match="HMAC-SHA1"):
        client_of(console, signature_algorithm="v2").model_router_query_observation_charts(query_observation("Charts"))


def test_charts_are_quick(console: Console, app: Mock) -> None:
    with console.open_in_process(app) as inside:
        assert cost(lambda: inside.observe("charts", timeRange="30d")) < 0.2
    assert console.http.get(OBSERVATION + "charts").status_code == 403
