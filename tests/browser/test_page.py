"""The page in a real browser: it opens, stays on its own origin, and follows a busy server."""

from __future__ import annotations

import gzip

import httpx2
from playwright.sync_api import Page, expect

from aione_mock.settings import Settings, locate_page

from .application import Application, needs_page, serve_application
from .traffic_view import find_rows, open_traffic

LIMIT = 250 << 10

pytestmark = needs_page


def test_it_opens_from_the_root_and_shows_calls_as_they_come(page: Page, app: Application) -> None:
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda said: failures.append(said.text) if said.type == "error" else None)
    page.goto(app.url)
    assert page.url == f"{app.url}/_mock/ui/"
    expect(page.get_by_text("Waiting for the first call")).to_be_visible()
    expect(page.get_by_text(f"{app.url}/api/v1", exact=True)).to_be_visible()
    app.chat("Hello")
    expect(find_rows(page)).to_have_count(1)
    expect(find_rows(page).first).to_contain_text("createChatCompletion")
    usage = app.read_call()["usage"]
    expect(find_rows(page).first).to_contain_text(f"{usage['prompt']} → {usage['completion']}")
    find_rows(page).first.click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Hello")
    assert failures == []


def test_nothing_leaves_the_own_origin(page: Page, app: Application) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    picture = {"type": "image_url", "image_url": {"url": "https://pictures.example/lamp.png"}}
    app.chat("look", messages=[{"role": "user", "content": [{"type": "text", "text": "look"}, picture]}])
    open_traffic(page, app, "#/traffic?call=default/1")
    expect(page.get_by_role("tabpanel")).to_contain_text("https://pictures.example/lamp.png (not loaded)")
    assert asked
    assert [url for url in asked if not url.startswith(f"{app.url}/")] == []


def test_the_control_token_is_asked_for_once(page: Page) -> None:
    with serve_application(Settings(control_token="a word")) as app:
        app.chat("Hello")
        page.goto(app.url)
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Control token").fill("another word")
        dialog.get_by_role("button", name="Continue").click()
        expect(dialog.get_by_role("alert")).to_be_visible()
        dialog.get_by_label("Control token").fill("a word")
        dialog.get_by_role("button", name="Continue").click()
        expect(find_rows(page)).to_have_count(1)
        app.chat("Hello again")
        expect(find_rows(page)).to_have_count(2)
        page.reload()
        expect(find_rows(page)).to_have_count(2)
        expect(dialog).to_have_count(0)


def test_it_goes_on_after_the_server_was_away(page: Page) -> None:
    with serve_application(Settings()) as first:
        open_traffic(page, first)
    expect(page.get_by_role("status").get_by_text("reconnecting")).to_be_visible()
    with serve_application(Settings(), httpx2.URL(first.url).port or 0) as again:
        expect(page.get_by_role("status").get_by_text("live", exact=True)).to_be_visible()
        again.chat("Hello")
        expect(find_rows(page)).to_have_count(1)


def test_it_speaks_chinese(page: Page, app: Application) -> None:
    open_traffic(page, app)
    page.get_by_role("combobox", name="Language").select_option("zh")
    expect(page.get_by_role("link", name="流量")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.reload()
    expect(page.get_by_text("等待第一次调用")).to_be_visible()


def test_it_is_small() -> None:
    files = [file for file in locate_page().iterdir() if file.is_file() and not file.name.startswith("swagger-")]
    sizes = {file.name: len(gzip.compress(file.read_bytes())) for file in files}
    assert sum(sizes.values()) <= LIMIT, sizes
