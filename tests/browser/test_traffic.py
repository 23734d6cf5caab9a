"""The list of calls and a call in detail, in a real browser."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .application import HOSTILE, WAIT, Application, find_axe_violations, fits_its_width, needs_axe, needs_page
from .traffic_view import find_panel, find_row, find_rows, open_call, open_traffic

TABS = ("conversation", "stream", "raw", "why", "contract")

pytestmark = needs_page


def test_a_streamed_call_appears_while_it_streams(page: Page, app: Application) -> None:
    open_traffic(page, app)
    body = {"model": "gpt-5.4", "stream": True, "messages": [{"role": "user", "content": "Something long"}]}
    held = {"x-mock-scenario": "stall; after=5; then=hang"}
    bar = find_row(page, 1).get_by_role("img", name=re.compile("^[1-9][0-9]* of"))
    with app.client.stream("POST", "/v1/chat/completions", json=body, headers=held) as answer:
        assert answer.status_code == 200
        expect(bar).to_be_visible()
        find_row(page, 1).click()
        expect(find_panel(page, 1, "conversation")).to_contain_text("Something long")
    expect(bar).to_have_count(0)


def test_a_stream_is_drawn_along_time(page: Page, app: Application) -> None:
    app.start("Tell me something long", "pace; ttft=0.3; tps=500", stream=True).join(WAIT)
    events = app.read_call()["response"]["events"]
    open_call(page, app, tab="stream")
    expect(page.get_by_text("first token")).to_be_visible()
    expect(page.locator(".figures")).to_contain_text("0.30 s")
    expect(page.locator(".axis .tick:not(.chosen)")).to_have_count(len(events))
    page.get_by_role("listbox", name="Events").get_by_role("option").nth(2).click()
    expect(page.locator(".bytes pre")).to_have_text(events[2].strip())


def test_a_fault_is_marked_where_it_is(page: Page, app: Application) -> None:
    app.start("Hello", "malformed_json; at=3", stream=True).join(WAIT)
    open_call(page, app, tab="stream")
    damaged = page.get_by_role("listbox", name="Events").locator(".fault")
    expect(damaged).to_have_count(1)
    expect(damaged).to_contain_text("#3")
    expect(page.get_by_text("1 damaged on purpose")).to_be_visible()


def test_filters_stand_in_the_address(page: Page, app: Application) -> None:
    app.chat("a refund")
    app.chat("anything", temperature="hot")
    app.chat("a refund", "upstream_timeout")
    open_traffic(page, app, "#/traffic?filter=status%3A5xx")
    expect(find_rows(page)).to_have_count(1)
    page.keyboard.press("/")
    field = page.get_by_role("searchbox", name="Filter")
    expect(field).to_be_focused()
    field.fill('model:gpt-* "refund"')
    expect(find_rows(page)).to_have_count(2)
    app.chat("another refund")
    app.chat("nothing of that kind")
    expect(find_rows(page)).to_have_count(3)
    page.reload()
    expect(find_rows(page)).to_have_count(3)
    expect(page.get_by_text("3 calls")).to_be_visible()
    page.get_by_role("button", name="1 broken").click()
    expect(find_rows(page)).to_have_count(1)


def test_every_figure_of_the_head_leads_to_the_calls_that_it_sums(page: Page, app: Application) -> None:
    app.chat("a refund")
    app.chat("a refund", "upstream_timeout")
    app.start("a refund", "malformed_json; at=3", stream=True).join(WAIT)
    app.start("a lamp", "cut; after=3", stream=True).join(WAIT)
    open_traffic(page, app, "#/traffic?filter=model%3Agpt-*")
    filter_field = page.get_by_role("searchbox", name="Filter")
    figures = page.locator(".totals")
    expect(find_rows(page)).to_have_count(4)
    costs = {each["number"]: each["cost"] for each in app.client.get("/_mock/journal").json()["items"]}
    charged = [number for number, cost in costs.items() if Decimal(cost or 0) > 0]
    assert len(charged) == 3
    total = f"¥{sum(Decimal(costs[number]) for number in charged)}"
    expect(figures.get_by_role("button", name="2 broken")).to_be_visible()
    expect(figures.get_by_role("button", name="2 damaged on purpose")).to_be_visible()
    figures.get_by_role("button", name=total).press("Enter")
    expect(filter_field).to_have_value("is:charged model:gpt-*")
    expect(find_rows(page)).to_have_count(len(charged))
    expect(figures.get_by_role("button", name=total)).to_be_visible()
    figures.get_by_role("button", name="1 broken").press("Enter")
    expect(filter_field).to_have_value("is:broken is:charged model:gpt-*")
    expect(find_rows(page)).to_have_count(1)
    expect(find_row(page, 4)).to_be_visible()
    figures.get_by_role("button", name="1 call").press("Enter")
    expect(find_rows(page)).to_have_count(4)
    figures.get_by_role("button", name="2 damaged on purpose").press("Enter")
    expect(find_rows(page)).to_have_count(2)


def test_the_calls_of_a_session_are_saved_as_a_cassette_or_an_archive(page: Page, app: Application) -> None:
    app.chat("Hello")
    app.client.post("/_session/other/v1/chat/completions", json={"model": "gpt-5.4"})
    open_traffic(page, app, "#/traffic?session=other")
    expect(find_rows(page)).to_have_count(1)
    menu = page.get_by_role("combobox", name="Save the calls of session other")
    for option, file, path in (
        ("as a cassette, to replay", "other.yaml", "cassette"),
        ("as HAR", "other.har", "har"),
    ):
        with page.expect_download() as download:
            menu.select_option(option)
        assert download.value.suggested_filename == file
        own = app.client.get(f"/_mock/{path}", headers={"x-mock-session": "other"})
        assert download.value.path().read_bytes() == own.content


def test_new_calls_wait_while_the_list_is_paused_or_scrolled(page: Page, app: Application) -> None:
    for number in range(60):
        app.chat(f"number {number}")
    open_traffic(page, app)
    expect(find_row(page, 60)).to_be_visible()
    page.keyboard.press("j")
    expect(find_row(page, 60)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("j")
    expect(find_row(page, 59)).to_have_attribute("aria-selected", "true")
    chosen = find_row(page, 45)
    chosen.click()
    expect(chosen).to_have_attribute("aria-selected", "true")
    page.get_by_role("listbox", name="Calls, newest first").evaluate("list => list.scrollTop = 300")
    expect(find_row(page, 60)).to_have_count(0)
    before = chosen.bounding_box()
    app.chat("one more")
    waiting = page.get_by_role("button", name="1 new")
    expect(waiting).to_be_visible()
    assert chosen.bounding_box() == before
    waiting.click()
    expect(find_row(page, 61)).to_be_visible()
    expect(chosen).to_have_attribute("aria-selected", "true")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    app.chat("and one")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(find_row(page, 62)).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(find_row(page, 62)).to_be_visible()


def test_why_says_what_made_the_answer(page: Page, app: Application) -> None:
    rule = {"id": "refunds", "when": {"text": "refund", "model": "gpt-*"}, "then": {"reply": {"text": "No."}}}
    app.client.post("/_mock/rules", json=rule)
    app.chat("reimbursement")
    explain = app.read_call()["explain"]
    panel = open_call(page, app, tab="why")
    for text in (explain["nearest"]["reasons"][0], "refunds", "1 of 10", "The answer keeps the contract."):
        expect(panel).to_contain_text(text)


def test_a_refusal_is_named_in_the_list_and_in_the_call(page: Page, app: Application) -> None:
    app.chat("Hello", model="gpt-9")
    panel = open_call(page, app, tab="why")
    expect(panel).to_contain_text("a check of the mock: model_not_found")
    page.keyboard.press("Escape")
    expect(find_row(page, 1)).to_contain_text("model_not_found")


def test_what_the_contract_says_of_request_and_answer(page: Page, app: Application) -> None:
    app.chat("Hello", temperature=9)
    app.start("Hello", "malformed_json; at=3", stream=True).join(WAIT)
    app.start("Hello", "no_end", stream=True).join(WAIT)
    app.client.get("/nowhere")
    open_call(page, app, tab="why").get_by_role("button", name="What the contract says").click()
    panel = find_panel(page, 1, "contract")
    request, answer = (panel.get_by_role("region", name=name, exact=True) for name in ("Request", "Answer"))
    expect(panel).to_contain_text("createChatCompletion · POST /v1/chat/completions")
    expect(panel).to_contain_text("documented by the gateway, in AIone 1.0")
    violations = app.read_call()["request"]["violations"]
    expect(request.get_by_role("row").nth(1)).to_contain_text(f"bodytemperature{violations[0]['message']}")
    expect(answer).to_contain_text("The answer keeps the contract.")
    expect(answer).to_contain_text("x-request-id · required · sent")
    for number in (4, 3, 2):
        find_row(page, number).click()
        find_panel(page, number, "contract")
        if number == 4:
            expect(panel).to_contain_text("no operation with this path and method")
        if number == 3:
            expect(answer).to_contain_text("The events do not come in the order that the contract declares.")
            expect(request).to_contain_text("The request keeps the contract.")
    expect(answer).to_contain_text("it was damaged on purpose")
    answer.get_by_role("button", name="event 3").first.press("Enter")
    find_panel(page, 2, "stream")
    page.keyboard.press("5")
    find_panel(page, 2, "contract")


@pytest.mark.parametrize("tab", TABS)
def test_hostile_text_is_text(page: Page, app: Application, tab: str) -> None:
    asked = app.start(HOSTILE + "w" * (1 << 20), "", user=HOSTILE, stream=tab == "stream")
    asked.join(WAIT)
    app.client.post(f"/v1/{HOSTILE.replace(chr(27), '')}", json={})
    reply = {"when": {"text": "say it"}, "then": {"reply": {"text": HOSTILE, "reasoning": HOSTILE}}}
    app.client.post("/_mock/rules", json=reply)
    app.chat("say it", stream=tab == "stream")
    open_call(page, app, tab=tab)
    for number in (1, 2, 3):
        find_row(page, number).click()
        find_panel(page, number, tab)
    if tab == "contract":
        app.chat("Hello", **{HOSTILE: HOSTILE}, metadata={HOSTILE: [HOSTILE]})
        find_row(page, 4).click()
        find_panel(page, 4, tab)
    if tab in ("conversation", "raw"):
        expect(page.get_by_role("tabpanel")).to_contain_text("<script>document.title='run'</script>")
        expect(page.get_by_role("tabpanel")).to_contain_text("‹U+202E›")
    assert page.title() == "aione-mock"
    assert page.locator("img").count() == 0
    assert fits_its_width(page)


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_violation(page: Page, app: Application, scheme: Any, width: int) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    open_traffic(page, app)
    assert find_axe_violations(page) == []
    app.chat("Hello", stream=True)
    app.start("Hello", "malformed_json; at=2", stream=True).join(WAIT)
    app.client.get("/nowhere")
    app.chat("Hello", temperature="hot")
    for tab in TABS:
        page.goto(f"{app.url}/_mock/ui/#/traffic?call=default/2&tab={tab}")
        find_panel(page, 2, tab)
        assert find_axe_violations(page) == [], tab
        last, first = (page.locator(place).bounding_box() for place in ("#tab-contract", ".call-actions select"))
        assert last
        assert first
        assert last["x"] + last["width"] <= first["x"] or last["y"] + last["height"] <= first["y"]
        assert fits_its_width(page)
    for key in ("r", "?"):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert find_axe_violations(page) == [], key
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
