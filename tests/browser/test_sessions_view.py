"""Sessions and their clocks on the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from aione_mock.settings import Settings

from .application import Application, find_axe_violations, fits_its_width, needs_axe, needs_page

NOW = datetime(2026, 4, 7, 9, 30, tzinfo=UTC)

pytestmark = needs_page


@pytest.fixture
def settings() -> Settings:
    """A mock with a frozen clock."""
    return Settings(now=NOW)


def open_session(page: Page, app: Application, name: str) -> Any:
    page.goto(f"{app.url}/_mock/ui/#/sessions?session={name}")
    shown = page.get_by_role("article", name=name)
    expect(shown).to_be_visible()
    return shown


def read_session(app: Application, name: str) -> Any:
    return app.client.get(f"/_mock/sessions/{name}").json()


def test_a_new_session_is_as_asked_for(page: Page, app: Application) -> None:
    open_session(page, app, "default")
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("no spaces")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("'name'")
    for label, text in {"Name": "checkout", "Seed": "word", "Time at first": "2026-05-01T00:00:00Z"}.items():
        dialog.get_by_label(label).fill(text)
    dialog.get_by_label("Clock").select_option("Time passes")
    dialog.get_by_label("Pace").select_option("realistic")
    dialog.get_by_label("Pace").press("Enter")
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_role("article", name="checkout")).to_be_visible()
    made = read_session(app, "checkout")
    assert made == {**made, "seed": "word", "frozen": False, "pace": "realistic"}
    assert made["now"].startswith("2026-05-01T00:0")
    expect(page.get_by_role("combobox", name="Session")).to_have_value("checkout")


def test_the_clock_is_moved_from_the_view_and_from_the_frame(page: Page, app: Application, session_name: str) -> None:
    shown = open_session(page, app, session_name)
    time = shown.locator("time")
    expect(time).to_have_text("2026-04-07T09:30:00Z")
    for button, instant in {
        "A minute passes": "2026-04-07T09:31:00Z",
        "A day passes": "2026-04-08T09:31:00Z",
        "The next month begins": "2026-04-30T16:00:00Z",
    }.items():
        shown.get_by_role("button", name=button).click()
        expect(time).to_have_text(instant)
    shown.get_by_label("Advance by").fill("soon")
    shown.get_by_label("Advance by").press("Enter")
    expect(shown.get_by_role("alert")).to_contain_text("soon")
    shown.get_by_label("Advance by").fill("1d12h")
    shown.get_by_label("Advance by").press("Enter")
    expect(time).to_have_text("2026-05-02T04:00:00Z")
    shown.get_by_role("button", name="Let time pass").click()
    expect(shown.get_by_role("button", name="Freeze the clock")).to_be_visible()
    expect(time).not_to_have_text("2026-05-02T04:00:00Z")
    page.keyboard.press("Escape")
    page.get_by_role("button", name=f"Clock of session {session_name}").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Freeze the clock").click()
    expect(dialog.get_by_role("button", name="Let time pass")).to_be_visible()
    dialog.get_by_label("Set to an instant").fill("2027-01-01T00:00:00Z")
    dialog.get_by_label("Set to an instant").press("Enter")
    expect(dialog.locator("time")).to_have_text("2027-01-01T00:00:00Z")
    assert app.client.get("/_mock/clock", headers={"x-mock-session": session_name}).json()["now"] == (
        "2027-01-01T00:00:00.000000Z"
    )
    # changed elsewhere
    app.client.post("/_mock/clock", headers={"x-mock-session": session_name}, json={"set": "2028-02-29T12:00:00Z"})
    expect(dialog.locator("time")).to_have_text("2028-02-29T12:00:00Z")


def test_a_snapshot_brings_back_calls_and_keys(page: Page, app: Application, session_name: str) -> None:
    own = {"x-mock-session": session_name}
    console = {**own, "authorization": "Bearer nex-console-tech"}
    key = app.client.get("/api/v1/gateway/keys", headers=console).json()["items"][0]["id"]

    def read_status() -> str:
        return str(app.client.get(f"/api/v1/gateway/keys/{key}", headers=console).json()["status"])

    shown = open_session(page, app, session_name)
    expect(shown).to_contain_text("No snapshot yet")
    shown.get_by_label("Label").fill("before")
    shown.get_by_role("button", name="Take a snapshot").click()
    expect(shown.get_by_role("status")).to_contain_text("before")
    calls, status = read_session(app, session_name)["calls"], read_status()
    app.client.put(f"/api/v1/gateway/keys/{key}/disable", headers=console)
    app.client.post("/_mock/clock", headers=own, json={"advance": "1h"})
    assert (read_status(), status) == ("disabled", "active")
    row = page.get_by_role("row", name=session_name)
    expect(row.get_by_role("link")).not_to_have_text(str(calls))
    shown.get_by_role("button", name="Restore before").click()
    expect(shown.get_by_role("status")).to_contain_text("as in before")
    expect(row.get_by_role("link")).to_have_text(str(calls))
    assert read_status() == "active"
    assert read_session(app, session_name)["now"] == "2026-04-07T09:30:00Z"


def test_a_session_is_forked_reset_and_deleted(page: Page, app: Application, session_name: str) -> None:
    app.client.post("/_mock/clock", headers={"x-mock-session": session_name}, json={"advance": "1h"})
    shown = open_session(page, app, session_name)
    shown.get_by_label("Name of the fork").fill(session_name)
    shown.get_by_role("button", name="Fork").click()
    expect(shown.get_by_role("alert")).to_contain_text(f"There is a session '{session_name}' already.")
    shown.get_by_label("Name of the fork").fill("what-if")
    shown.get_by_label("Name of the fork").press("Enter")
    fork = page.get_by_role("article", name="what-if")
    expect(fork.locator("time")).to_have_text("2026-04-07T10:30:00Z")
    page.keyboard.press("Escape")
    fork.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert app.client.get("/_mock/sessions/what-if").status_code == 200
    fork.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("article", name="default")).to_be_visible()
    expect(page.get_by_role("row", name="what-if")).to_have_count(0)
    assert app.client.get("/_mock/sessions/what-if").status_code == 404
    shown = open_session(page, app, session_name)
    shown.get_by_role("button", name="Reset").click()
    page.get_by_role("dialog").get_by_role("button", name="Reset").click()
    expect(shown.locator("time")).to_have_text("2026-04-07T09:30:00Z")


def test_the_keyboard_chooses_a_session(page: Page, app: Application, session_name: str) -> None:
    page.goto(f"{app.url}/_mock/ui/")
    expect(page.get_by_role("listbox", name="Calls, newest first")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.get_by_role("article", name="default")).to_be_visible()
    page.keyboard.press("j")
    expect(page.get_by_role("article", name="default")).to_have_count(0)
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(page.get_by_role("article", name="default")).to_be_visible()
    page.goto(f"{app.url}/_mock/ui/#/sessions?session=nowhere")
    expect(page.get_by_text("There is no session nowhere any more.")).to_be_visible()


@needs_axe
@pytest.mark.parametrize(("scheme", "width", "language"), [("light", 1280, "en"), ("dark", 390, "zh")])
def test_sessions_are_for_everybody(page: Page, app: Application, scheme: Any, width: int, language: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    app.client.post("/_mock/sessions/default/snapshot", json={"label": "kept"})
    open_session(page, app, "default")
    page.get_by_role("combobox", name="Language").select_option(language)
    expect(page.get_by_role("heading", name={"en": "Sessions", "zh": "会话"}[language], exact=True)).to_be_visible()
    assert find_axe_violations(page) == []
    assert fits_its_width(page)
    page.keyboard.press("n")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert find_axe_violations(page) == []
