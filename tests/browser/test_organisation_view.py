"""What an organisation has, uses and owes, on the page: the figures are the API's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from aione_mock.settings import Settings
from tests.conftest import KEY
from tests.console.client import Console

from .application import HOSTILE, Application, find_axe_violations, fits_its_width, needs_axe, needs_page

NOW = datetime(2026, 4, 17, 9, 30, tzinfo=UTC)
HEADING = "The last {} days, today included"

pytestmark = needs_page


class Organisation:
    """A session of the mock, asked as the page asks it."""

    def __init__(self, app: Application, name: str) -> None:
        self.app, self.name = app, name

    def ask(self, method: str, path: str, token: str = "nex-console-tech", **options: Any) -> Any:
        """Ask the mock in this session."""
        headers = {"x-mock-session": self.name, "authorization": f"Bearer {token}"}
        return self.app.client.request(method, path, headers=headers, **options)

    def read(self, path: str, token: str = "nex-console-tech") -> Any:
        """Read from the console."""
        answer = self.ask("GET", f"/api/v1{path}", token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def chat(self, key: str = KEY) -> int:
        """Ask a model something."""
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
        return int(self.ask("POST", "/v1/chat/completions", key, json=body).status_code)

    def open(self, page: Page, days: int = 7, name: str = "main") -> None:
        """Show it on the page."""
        page.goto(f"{self.app.url}/_mock/ui/#/organisation?session={self.name}&filter={days}&tab={name}")
        expect(page.get_by_role("heading", name=HEADING.format(days))).to_be_visible()


@pytest.fixture
def settings() -> Settings:
    """A mock with a frozen clock."""
    return Settings(now=NOW)


@pytest.fixture
def organisation(app: Application, session_name: str) -> Organisation:
    """The main organisation in a new session."""
    return Organisation(app, session_name)


def read_table(page: Page, title: str) -> list[dict[str, str]]:
    rows: list[list[str]] = page.get_by_role("region", name=title, exact=True).evaluate(
        "region => [...region.querySelectorAll('tr')].map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def count(number: int) -> str:
    return f"{number:,}".replace(",", "\u2009")


def read_fact(page: Page, region: str, name: str) -> str:
    facts = page.get_by_role("region", name=region).locator("dl > div")
    return facts.filter(has=page.get_by_text(name, exact=True)).locator("dd").first.inner_text()


def list_usage(rows: list[Any]) -> list[tuple[str, str, str]]:
    return [(count(row["requests"]), count(row["total_tokens"]), f"¥{row['cost_rmb']}") for row in rows]


def test_figures_are_those_of_the_api(page: Page, organisation: Organisation) -> None:
    organisation.open(page, days=30)
    tech = organisation.read("/obs/dashboard?range_days=30")["tech"]
    business = organisation.read("/obs/dashboard?range_days=30", "nex-console-business")["business"]
    account, plan = organisation.read("/billing/account"), organisation.read("/billing/plan")
    shown = {
        ("Plan and account", "Balance"): f"¥{account['balance_rmb']}",
        ("Plan and account", "Month to date"): f"¥{account['month_to_date_cost_rmb']}",
        ("Plan and account", "Fee"): f"¥{plan['monthly_fee_rmb']}",
        ("Plan and account", "Capacity"): business["capacity_status"],
        ("Engineers' view", "Tokens"): count(tech["total_tokens"]),
        ("Engineers' view", "Cost (RMB)"): f"¥{tech['total_cost_rmb']}",
        ("Engineers' view", "Mean latency"): f"{tech['avg_latency_ms']:g} ms",
        ("Engineers' view", "Errors"): f"{tech['error_rate_pct']} %",
        ("Payers' view", "Conversations"): count(business["total_conversations"]),
        ("Payers' view", "Characters (× 10 000)"): f"{business['total_chars_wan']}",
        ("Payers' view", "Of the month's budget"): f"{business['budget_progress_pct']} %",
    }
    assert {place: read_fact(page, *place) for place in shown} == shown
    expect(page.get_by_text(f"{business['budget_progress_pct']} % of the budget ¥12000.0000")).to_be_visible()
    columns = ("Requests", "Tokens", "Cost (RMB)")
    page.get_by_text("Day by day").click()
    days = [(count(day["requests"]), count(day["tokens"]), f"¥{day['cost_rmb']}") for day in tech["daily_trend"]]
    assert [tuple(map(row.get, columns)) for row in read_table(page, "Day by day")] == days
    span = f"start_date={tech['daily_trend'][0]['date']}&end_date={tech['daily_trend'][-1]['date']}"
    for title, group in {"Cost by model": "model", "Cost by team": "team"}.items():
        rows = organisation.read(f"/obs/usage?group_by={group}&{span}")
        assert [tuple(map(row.get, columns)) for row in read_table(page, title)] == list_usage(rows), title
    assert [row["Team"] for row in read_table(page, "Cost by team")] == [
        each["team_name"] for each in business["team_cost_ranking"]
    ]
    by_key = {row["key_id"]: row for row in organisation.read(f"/obs/usage?group_by=key&{span}")}
    keys = organisation.read("/gateway/keys")["items"]
    assert [(row["Name"], row["State"], row["Cost (RMB)"]) for row in read_table(page, "Keys")] == [
        (key["name"], key["status"], f"¥{by_key.get(key['id'], {'cost_rmb': '0.0000'})['cost_rmb']}") for key in keys
    ]
    models = organisation.read("/gateway/models")["items"]
    assert [(row["Model"], row["Input"], row["Output"]) for row in read_table(page, "Models and prices")] == [
        (model["id"], f"¥{model['input_price_rmb']}", f"¥{model['output_price_rmb']}") for model in models
    ]
    assert [(row["Number"], row["Amount"], row["State"]) for row in read_table(page, "Invoices")] == [
        (each["invoice_no"], f"¥{each['amount_rmb']}", each["status"])
        for each in organisation.read("/billing/invoices")
    ]


def test_calls_and_time_are_followed(page: Page, organisation: Organisation) -> None:
    organisation.open(page)
    balance = page.get_by_role("region", name="Plan and account")
    before = organisation.read("/billing/account")
    expect(balance).to_contain_text(f"¥{before['balance_rmb']}")
    assert organisation.chat() == 200
    after = organisation.read("/billing/account")
    assert after["balance_rmb"] != before["balance_rmb"]
    expect(balance).to_contain_text(f"¥{after['balance_rmb']}")
    expect(balance).to_contain_text(f"¥{after['month_to_date_cost_rmb']}")
    page.get_by_text("Day by day").click()
    days = page.get_by_role("region", name="Day by day").get_by_role("row")
    expect(days.last).to_contain_text("2026-04-17")
    page.get_by_role("button", name="A day passes").click()
    expect(days.last).to_contain_text("2026-04-18")
    trend = organisation.read("/obs/dashboard")["tech"]["daily_trend"]
    expect(days.nth(-2)).to_contain_text(f"¥{trend[-2]['cost_rmb']}")
    invoices = page.get_by_role("region", name="Invoices").get_by_role("row")
    count_before = invoices.count()
    page.get_by_role("button", name="The next month begins").click()
    expect(invoices).to_have_count(count_before + 1)
    newest = organisation.read("/billing/invoices")[0]
    expect(invoices.nth(1)).to_contain_text(f"¥{newest['amount_rmb']}")
    expect(balance).to_contain_text("¥0.0000")


def test_keys_are_disabled_rotated_and_brought_back(page: Page, organisation: Organisation) -> None:
    organisation.open(page)
    snapshot = f"/_mock/sessions/{organisation.name}"
    organisation.ask("POST", f"{snapshot}/snapshot", json={"label": "before"})
    row = page.get_by_role("region", name="Keys").get_by_role("row", name="Sandbox")
    row.get_by_role("button", name="Disable: Sandbox").click()
    expect(page.get_by_role("status").filter(has_text="Sandbox is disabled")).to_be_visible()
    expect(row).to_contain_text("disabled")
    assert organisation.chat("sk-nex-sandbox-for-trying") == 401
    row.get_by_role("button", name="Enable: Sandbox").press("Enter")
    expect(row).to_contain_text("active")
    assert organisation.chat("sk-nex-sandbox-for-trying") == 200
    row.get_by_role("button", name="Rotate: Sandbox").click()
    secret = page.get_by_role("dialog").locator("code").inner_text()
    assert organisation.chat(secret) == 200
    page.keyboard.press("Escape")
    expect(row).to_contain_text(secret[:11])
    expect(page.get_by_role("row", name="Expired").get_by_role("button", name="Rotate")).to_have_count(0)
    # what the page has read is no call of an application
    asked = {each["operation"] for each in organisation.ask("GET", "/_mock/journal").json()["items"]}
    assert asked == {"createChatCompletion", "disableKey", "enableKey", "rotateKey"}
    organisation.ask("POST", f"{snapshot}/restore", json={"label": "before"})
    expect(row).to_contain_text("sk-nex-sand")
    row.get_by_role("link", name="Sandbox").click()
    expect(page.get_by_role("searchbox", name="Filter")).to_have_value(re.compile("^key:sk-nex-sand$"))


def test_other_ranges_and_organisations_can_be_chosen(page: Page, organisation: Organisation) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    organisation.open(page)
    box = page.get_by_role("spinbutton", name="Days, 1 to 90").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390
    page.get_by_role("spinbutton", name="Days, 1 to 90").fill("2")
    page.get_by_role("spinbutton", name="Days, 1 to 90").press("Enter")
    expect(page.get_by_role("heading", name=HEADING.format(2))).to_be_visible()
    tokens = page.get_by_role("region", name="Engineers' view")
    expect(tokens).to_contain_text(count(organisation.read("/obs/dashboard?range_days=2")["tech"]["total_tokens"]))
    page.get_by_role("combobox", name="Organisation").select_option("spent")
    expect(page.get_by_role("region", name="Plan and account")).to_contain_text("suspended")
    balance = organisation.read("/billing/account", "nex-console-spent")["balance_rmb"]
    assert read_fact(page, "Plan and account", "Balance").startswith(balance.replace("-", "−¥"))
    expect(page.get_by_text("No call in these days. Send one")).to_have_count(2)
    organisation.open(page, name="other")
    expect(page.get_by_role("region", name="Keys")).to_contain_text("Classroom")


def test_errors_are_said_in_place_and_hostile_names_are_text(page: Page, organisation: Organisation) -> None:
    name = HOSTILE.replace("\x1b", "")
    made = organisation.ask("POST", "/api/v1/gateway/keys", json={"name": name, "models_allowed": [HOSTILE]})
    assert made.status_code == 201, made.text
    organisation.open(page)
    expect(page.get_by_role("region", name="Keys")).to_contain_text("<script>document.title='run'</script>")
    assert page.title() == "aione-mock"
    page.route("**/billing/plan", lambda route: route.fulfill(status=503, json={"detail": HOSTILE}))
    organisation.chat()
    expect(page.get_by_role("alert")).to_contain_text("HTTP 503: <script>document.title='run'</script>")
    assert page.title() == "aione-mock"
    page.unroute("**/billing/plan")
    organisation.chat()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_scenario_for_the_next_call_waits_for_the_application_s(page: Page, organisation: Organisation) -> None:
    rule = {"id": "next", "when": {}, "then": {"faults": [{"name": "empty_body"}], "times": 1}}
    organisation.ask("POST", "/_mock/rules", json=rule)
    organisation.open(page)
    expect(page.locator(".legend").first).to_be_visible()
    page.get_by_role("link", name="Playground").click()
    expect(page.get_by_role("combobox", name="Model")).to_contain_text("gpt-5.4")
    read = organisation.ask("GET", "/_mock/journal").json()["items"]
    assert (read, organisation.ask("GET", "/_mock/rules").json()["items"][0]["seen"]) == ([], 0)
    assert organisation.chat() == 200
    assert organisation.ask("GET", "/_mock/journal").json()["items"][0]["rule"] == "next"


@needs_axe
@pytest.mark.parametrize(("scheme", "width", "language"), [("light", 390, "en"), ("dark", 1280, "zh")])
def test_an_organisation_is_for_everybody(
    page: Page, organisation: Organisation, scheme: Any, width: int, language: str
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    organisation.open(page)
    page.get_by_role("combobox", name="Language").select_option(language)
    expect(page.get_by_role("heading", name={"en": "Keys", "zh": "密钥"}[language], exact=True)).to_be_visible()
    for summary in page.locator("summary").all():
        summary.click()
    assert find_axe_violations(page) == []
    assert fits_its_width(page)


def test_the_six_charts_are_drawn_from_figures_of_modelrouter(page: Page, organisation: Organisation) -> None:
    for model in ("gpt-5.4", "claude-sonnet-4-6"):
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        assert organisation.ask("POST", "/v1/chat/completions", KEY, json=body).status_code == 200
    organisation.open(page)
    charts = page.get_by_role("region", name="ModelRouter's charts")
    expect(charts.locator("canvas")).to_have_count(6)
    charts.get_by_role("button", name="1h", exact=True).click()
    console = Console(organisation.app.url, organisation.name)
    data = console.observe("charts", timeRange="1h")
    labels = list(dict.fromkeys(point["label"] for point in data["qpm"]))
    expect(charts.get_by_role("list").get_by_role("listitem")).to_have_text(labels)
    charts.get_by_text("All figures").click()
    columns = {
        "qpm": "Calls per minute",
        "tpm": "Tokens per minute",
        "concurrency": "Calls in progress",
        "callVolume": "Calls",
        "successRate": "Successes (%)",
        "responseTime": "Time to answer (ms)",
    }
    expect(charts.get_by_role("table")).to_be_visible()
    rows = read_table(page, "All figures")
    for curve, column in columns.items():
        own: dict[tuple[str, str], list[Decimal]] = {}
        for point in data[curve]:
            if point["value"]:
                own.setdefault((column, point["label"]), []).append(Decimal(str(point["value"])))
        shown: dict[tuple[str, str], list[Decimal]] = {}
        for row in rows:
            if figure := Decimal(row[column]):
                shown.setdefault((column, row["Model"]), []).append(figure)
        assert shown == own
        assert own, curve
    plots = charts.locator(".plot .u-over")
    plots.first.hover(position={"x": 5, "y": 5})
    expect(charts.locator("figcaption strong").first).to_contain_text("2026-04-17")
    refused = {"access_key": "a", "status": 403, "body": {"errMessage": "no right"}}
    page.route("**/_mock/signed-calls", lambda route: route.fulfill(json=refused))
    charts.get_by_role("button", name="6h", exact=True).click()
    expect(charts.get_by_role("alert")).to_contain_text("HTTP 403: no right")


def test_limits_show_what_is_used_now(page: Page, organisation: Organisation) -> None:
    organisation.open(page)
    keys = page.get_by_role("region", name="Keys")
    row = keys.get_by_role("row", name="2 requests a minute").or_(
        keys.get_by_role("row").filter(has_text="sk-nex-rpm-")
    )
    expect(row).to_contain_text("0 / 2")
    assert [organisation.chat("sk-nex-rpm-two-a-minute") for _ in range(3)] == [200, 200, 429]
    expect(row).to_contain_text("2 / 2")
    organisation.ask("POST", "/_mock/clock", json={"advance": "61s"})
    expect(row).to_contain_text("0 / 2")


def test_keys_are_made_changed_and_deleted(page: Page, organisation: Organisation) -> None:
    organisation.open(page)
    keys = page.get_by_role("region", name="Keys")
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Night shift")
    dialog.get_by_label("Requests a minute").fill("2")
    dialog.get_by_label("Models").fill("gpt-5.4, claude-*")
    dialog.get_by_label("Addresses").fill("nowhere")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("HTTP 422")
    dialog.get_by_label("Addresses").fill("127.0.0.1")
    dialog.get_by_role("button", name="Create").click()
    secret = dialog.locator("code").inner_text()
    page.keyboard.press("Escape")
    row = keys.get_by_role("row", name="Night shift")
    expect(row).to_contain_text("0 / 2")
    assert organisation.chat(secret) == 200
    expect(row).to_contain_text("1 / 2")
    row.get_by_role("button", name="Change: Night shift").click()
    assert dialog.get_by_label("Models").input_value() == "gpt-5.4, claude-*"
    dialog.get_by_label("Name").fill("Day shift")
    dialog.get_by_label("Requests a minute").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    row = keys.get_by_role("row", name="Day shift")
    expect(row).to_contain_text(f"1 / {count(organisation.read('/billing/plan')['rpm_limit'])}")
    (own,) = [key for key in organisation.read("/gateway/keys")["items"] if key["name"] == "Day shift"]
    assert (own["rpm_limit"], own["allowed_ips"]) == (None, ["127.0.0.1"])
    row.get_by_role("button", name="Delete: Day shift").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert organisation.chat(secret) == 401
    asked = {each["operation"] for each in organisation.ask("GET", "/_mock/journal").json()["items"]}
    assert asked >= {"createKey", "updateKey", "deleteKey"}
