"""The reference in a real browser: the contract as it is served, read and tried, without a request to elsewhere."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from aione_mock.settings import Settings, locate_page

from .application import Application, find_axe_violations, fits_its_width, needs_axe, needs_page

pytestmark = needs_page
_OVERLAY = """
overlay: 1.0.0
info: {title: Ours, version: '1'}
actions:
  - target: $.paths['/v1/models'].get
    update: {summary: List our own models, x-evidence: assumed}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A mock with an overlay and a model of its own."""
    overlay, models = tmp_path / "ours.yaml", tmp_path / "models.yaml"
    overlay.write_text(_OVERLAY)
    models.write_text("extends: default\nmodels:\n  - {id: house-chat}\n")
    return Settings(overlays=(overlay,), models=models)


def open_reference(page: Page, app: Application, item: str = "aione") -> None:
    page.goto(f"{app.url}/_mock/ui/#/reference?item={item}")
    expect(page.locator(".swagger-ui .opblock").first).to_be_visible()


def find_operation(page: Page, name: str) -> Locator:
    return page.locator(".opblock").filter(has=page.get_by_text(name, exact=True))


def test_an_operation_shows_its_evidence_its_errors_and_answers_from_here(page: Page, app: Application) -> None:
    asked: list[str] = []
    failures: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda said: failures.append(said.text) if said.type in ("error", "warning") else None)
    page.goto(app.url)
    expect(page.get_by_text("Waiting for the first call")).to_be_visible()
    assert not [url for url in asked if "swagger" in url]
    page.get_by_role("navigation").get_by_role("link", name="Reference").click()
    models = find_operation(page, "listModels")
    expect(models).to_contain_text("List our own models")
    expect(models.locator(".evidence")).to_have_text("assumed")
    chat = find_operation(page, "createChatCompletion")
    expect(chat.locator(".evidence")).to_have_text("documented")
    chat.get_by_role("button", name=re.compile("^post ")).click()
    expect(chat.locator(".responses-table").first).to_contain_text("429")
    expect(chat.get_by_text("Evidence: assumed").first).to_be_attached()
    chat.get_by_role("button", name="Try it out").click()
    chat.locator(".body-param textarea").fill(
        '{"model": "house-chat", "messages": [{"role": "user", "content": "Reply with exactly: from the reference"}]}'
    )
    chat.get_by_role("button", name="Execute").click()
    expect(chat.locator(".live-responses-table")).to_contain_text("from the reference")
    row = app.client.get("/_mock/journal").json()["items"][0]
    assert (row["operation"], row["model"], row["status"]) == ("createChatCompletion", "house-chat", 200)
    assert [url for url in asked if not url.startswith((f"{app.url}/", "data:"))] == []
    assert failures == []


def test_docs_lead_here_and_each_document_has_its_tab_and_its_key(page: Page, app: Application) -> None:
    page.goto(f"{app.url}/docs")
    assert page.url == f"{app.url}/_mock/ui/#/reference"
    expect(page.get_by_role("tab", name="AIone")).to_have_attribute("aria-selected", "true")
    console = find_operation(page, "getPlan")
    console.get_by_role("button", name=re.compile("^get ")).click()
    console.get_by_role("button", name="Try it out").click()
    console.get_by_role("button", name="Execute").click()
    expect(console.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    page.get_by_role("tab", name="ModelRouter").click()
    expect(page.get_by_text("cannot be tried here")).to_be_visible()
    charts = page.locator(".opblock").first
    charts.get_by_role("button").first.click()
    expect(charts.locator(".responses-table").first).to_be_visible()
    expect(charts.get_by_role("button", name="Try it out")).to_have_count(0)
    page.get_by_role("tab", name="Control API").click()
    expect(find_operation(page, "switchRule")).to_be_visible()
    assert page.url.endswith("item=control")


def test_it_is_tried_in_the_session_that_is_chosen(page: Page, app: Application, session_name: str) -> None:
    page.goto(f"{app.url}/_mock/ui/#/reference?session={session_name}")
    models = find_operation(page, "listModels")
    models.get_by_role("button", name=re.compile("^get ")).click()
    models.get_by_role("button", name="Try it out").click()
    models.get_by_role("button", name="Execute").click()
    expect(models.locator(".live-responses-table")).to_contain_text("house-chat")
    headers = {"x-mock-session": session_name}
    assert app.client.get("/_mock/journal", headers=headers).json()["items"][0]["operation"] == "listModels"


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_around_the_document_in_both_languages(
    page: Page, app: Application, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_reference(page, app)
    for language, title in (("en", "Reference"), ("zh", "参考")):
        page.get_by_role("combobox", name=re.compile("Language|语言")).select_option(language)
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
        expect(page.locator(".swagger-ui .opblock").first).to_be_visible()
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            # what is inside the document belongs to Swagger UI
            assert find_axe_violations(page, exclude=".swagger-ui") == [], (language, width)
            assert fits_its_width(page)
    background = page.evaluate("getComputedStyle(document.querySelector('.opblock-tag')).color")
    assert (background == "rgb(59, 65, 81)") == (scheme == "light")


def test_chinese_examples_come_first_where_the_page_is_chinese(page: Page, app: Application) -> None:
    open_reference(page, app)
    page.get_by_role("combobox", name="Language").select_option("zh")
    chat = find_operation(page, "createChatCompletion")
    chat.get_by_role("button", name=re.compile("^post ")).click()
    chosen = chat.locator(".opblock-section-request-body .examples-select-element option:checked")
    assert re.search("[\u4e00-\u9fff]", chosen.inner_text())


def test_it_says_why_there_is_no_document(page: Page, app: Application) -> None:
    page.route("**/openapi/*.json", lambda route: route.fulfill(status=503, body="{}"))
    page.goto(f"{app.url}/_mock/ui/#/reference")
    expect(page.get_by_role("alert")).to_contain_text("HTTP 503")


def test_the_reference_is_the_only_file_that_waits_until_it_is_opened() -> None:
    files = {file.name: file.read_text() for file in locate_page().iterdir() if file.suffix in (".js", ".css", ".html")}
    late = {name for name in files if name.startswith("swagger-")}
    assert {name.rpartition(".")[2] for name in late} == {"js", "css"}
    assert not any(name in files["index.html"] for name in late)
    assert sum(len(gzip.compress(files[name].encode())) for name in late) < 600 << 10
