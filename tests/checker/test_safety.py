"""A run spends no more than it says, and changes nothing that was there before it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx2

from aione_mock.checker import Target, check
from tests.checker.conftest import CheckGateway
from tests.checker.faulty_gateway import KEY, TOKEN, Fault, FaultyGateway, edit_json

EXISTING = "0d3f9b62-8a14-4b7e-9c50-e6a1f27d4b83"


def read(gateway: FaultyGateway, path: str) -> Any:
    answer = httpx2.get(gateway.url + path, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False)
    return answer.raise_for_status().json()


def read_balance(gateway: FaultyGateway) -> Decimal:
    return Decimal(read(gateway, "/api/v1/billing/account")["balance_rmb"])


def test_without_prices_no_more_is_billed_than_is_said(gateway: FaultyGateway) -> None:
    gateway.fault, gateway.seen = Fault(), []
    before = read_balance(gateway)
    report = check(
        Target(gateway.url, key=KEY),
        only=("basics", "area:models", "chat", "error-unsupported"),
        phases=(),
        spend_limit="5",
    )
    billed = before - read_balance(gateway)
    assert 0 < billed <= Decimal(report.counts.spent_rmb) <= 5
    assert not [request for request in gateway.seen if b"image" in request.body]
    reasons = [cell.reason for cell in report.matrix["error-unsupported"].values()]
    assert all("generates images, and its price is not known" in reason for reason in reasons), reasons


def test_with_prices_what_is_said_is_what_is_billed(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    before = read_balance(gateway)
    report = check(Target(gateway.url, key=KEY, token=TOKEN), only=("chat", "models-callable"), phases=())
    billed = before - read_balance(gateway)
    assert billed <= Decimal(report.counts.spent_rmb) <= billed * Decimal("1.05")


def test_keys_that_were_there_before_are_never_changed(gateway: FaultyGateway, check_gateway: CheckGateway) -> None:
    """A gateway that answers createKey with the id of another key does not get that key deleted."""
    assert EXISTING in {item["id"] for item in read(gateway, "/api/v1/gateway/keys")["items"]}
    answers_with_existing = edit_json("/gateway/keys$", lambda value: {**value, "id": EXISTING}, method="POST")
    before = read(gateway, f"/api/v1/gateway/keys/{EXISTING}")
    laws = ("tag:API keys", "key-rotation", "key-deletion", "error-body-validation", "phase:coverage")
    report = check_gateway(*laws, fault=answers_with_existing, phases=("coverage",))
    changing = [r for r in gateway.seen if r.method in ("PUT", "DELETE") and EXISTING in r.path.lower()]
    assert not [r for r in changing if TOKEN in r.headers.get("authorization", "")]
    assert read(gateway, f"/api/v1/gateway/keys/{EXISTING}") == before
    assert "the id of a key that was there before" in report.matrix["key-rotation"]["rotateKey"].reason
