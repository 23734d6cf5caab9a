"""The playground in a real browser: a question by hand, and what comes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.conftest import KEY
from tests.timing import wait_until

from .application import HOSTILE, WAIT, Application, find_axe_violations, fits_its_width, needs_axe, needs_page

pytestmark = needs_page
PARTS = """
window.parts = []
new MutationObserver(() => {
  const said = document.querySelector('[aria-busy=true] .turn.answer .said')
  if (said) window.parts.push(said.textContent)
}).observe(document.body, {subtree: true, childList: true, characterData: true})
"""
"""Keeps what stands in an answer while it arrives."""


def open_playground(page: Page, app: Application) -> Locator:
    """Open the view and return its form."""
    page.goto(f"{app.url}/_mock/ui/#/playground")
    form = page.get_by_role("form", name="Question")
    expect(form.get_by_role("combobox", name="Model", exact=True)).to_contain_text("gpt-5.4")
    return form


def ask(form: Locator, text: str) -> None:
    """Write the last message and send it by keyboard."""
    field = form.locator("#question")
    field.fill(text)
    field.press("Control+Enter")


def read_answer(page: Page) -> Locator:
    return page.get_by_role("region", name="Answer").last.locator(".turn.answer .said")


def test_the_answer_appears_while_it_streams_and_equals_the_plain_one(page: Page, app: Application) -> None:
    form = open_playground(page, app)
    form.get_by_role("combobox", name="Model", exact=True).select_option("gpt-5.4")
    form.get_by_label("System prompt").fill("You sell lamps.")
    form.get_by_label("Fault, error or awkward answer").fill("pace; ttft=0.1; tps=60")
    page.evaluate(PARTS)
    ask(form, "Which lamp suits a reading corner?")
    expect(page.get_by_role("listbox", name="Events").get_by_role("option").first).to_contain_text("data: {")
    expect(page.get_by_text("complete")).to_be_visible()
    whole = read_answer(page).inner_text()
    parts = page.evaluate("window.parts")
    assert all(whole.startswith(part) for part in parts)
    assert 0 < len(parts[0]) < len(whole)
    body = app.read_call(1)["request"]["body"]
    assert body["messages"][0] == {"role": "system", "content": "You sell lamps."}
    plain = app.client.post("/v1/chat/completions", json={**body, "stream": False}).json()
    assert whole == plain["choices"][0]["message"]["content"]


@pytest.mark.parametrize("protocol", ["OpenAI", "Anthropic", "Gemini"])
def test_plain_and_streamed_say_the_same_in_each_protocol(page: Page, app: Application, protocol: str) -> None:
    form = open_playground(page, app)
    form.get_by_role("radio", name=protocol).check()
    form.get_by_text("Tools", exact=True).click()
    form.get_by_role("button", name="Insert an example").first.click()
    form.locator("#question").fill("Do I need an umbrella in Hangzhou? Ask get_weather.")
    form.get_by_role("button", name="Plain and streamed").click()
    expect(page.get_by_text("Plain and streamed, the answer is the same.")).to_be_visible()
    for way in ("Streamed", "Plain"):
        expect(page.get_by_role("region", name=way, exact=True)).to_contain_text("calls get_weather")
    form.get_by_role("textbox", name="Tools").fill("")
    form.get_by_text("JSON Schema of the answer").click()
    form.get_by_role("textbox", name="JSON Schema").fill(
        '{"type": "object", "properties": {"age": {"type": "integer"}}'
    )
    form.get_by_role("button", name="Send").click()
    expect(form.get_by_role("alert")).to_contain_text("This should be JSON")
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    form.get_by_role("textbox", name="JSON Schema").fill(json.dumps({**schema, "additionalProperties": False}))
    form.get_by_role("button", name="Send").click()
    expect(page.get_by_role("region", name="Streamed", exact=True)).to_have_count(0)
    expect(page.get_by_text("complete")).to_be_visible()
    assert list(json.loads(read_answer(page).inner_text())) == ["age"]


def test_the_code_asks_the_same(page: Page, app: Application) -> None:
    form = open_playground(page, app)
    form.get_by_label("Fault, error or awkward answer").fill("reply; text=Aha")
    form.locator("#question").fill('It\'s "quoted"')
    page.get_by_role("tab", name="Code").click()
    for language, variable, command in (
        ("curl", "OPENAI_API_KEY", ["bash", "-c"]),
        ("Python", "OPENAI_API_KEY", [sys.executable, "-c"]),
    ):
        code = page.get_by_role("region", name=language, exact=True).inner_text()
        done = subprocess.run(
            [*command, code],
            env={**os.environ, variable: KEY},
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        assert "Aha" in done.stdout, (language, done.stderr)
    expect(page.get_by_role("region", name="TypeScript")).to_contain_text("await fetch(")
    first, second = (app.read_call(number)["request"]["body"] for number in (1, 2))
    assert first == second


def test_a_broken_answer_and_a_refusal_are_said_in_place(page: Page, app: Application) -> None:
    form = open_playground(page, app)
    form.get_by_label("Fault, error or awkward answer").fill("pace; ttft=0.1; tps=5, cut; after=3")
    ask(form, "Hello, how are you today?")
    expect(page.get_by_text("connection broken")).to_be_visible()
    # what has not been read when a connection is reset is lost
    assert 0 < page.get_by_role("listbox", name="Events").get_by_role("option").count() <= 3
    form.get_by_label("Fault, error or awkward answer").fill("hang")
    ask(form, "Hello")
    form.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped")).to_be_visible()
    form.get_by_label("Fault, error or awkward answer").fill("upstream_timeout")
    ask(form, "Hello")
    expect(page.locator(".turn.error")).to_contain_text("504")
    form.get_by_label("Key").fill("sk-unknown")
    form.get_by_label("Key").press("Tab")
    expect(form.get_by_role("alert")).to_be_visible()


def test_a_conversation_goes_on_and_hostile_text_is_text(page: Page, app: Application) -> None:
    rule = {"when": {"text": "say it"}, "then": {"reply": {"text": HOSTILE, "reasoning": HOSTILE}}}
    app.client.post("/_mock/rules", json=rule)
    form = open_playground(page, app)
    ask(form, "say it " + HOSTILE)
    expect(read_answer(page).last).to_contain_text("<script>document.title='run'</script>")
    expect(read_answer(page).last).to_contain_text("‹U+202E›")
    page.get_by_role("button", name="Continue the conversation").click()
    expect(form.locator("#question")).to_be_focused()
    ask(form, "say it again")
    assert wait_until(lambda: "request" in app.read_call(2), WAIT)
    roles = [each["role"] for each in app.read_call(2)["request"]["body"]["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert page.title() == "aione-mock"
    assert page.locator("img").count() == 0


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_playground(page: Page, app: Application, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 390, "height": 800})
    form = open_playground(page, app)
    form.locator("#question").fill("Hello")
    form.get_by_role("button", name="Plain and streamed").click()
    expect(page.get_by_text("the answer is the same")).to_be_visible()
    page.get_by_role("combobox", name="Language").select_option("zh")
    expect(page.get_by_role("link", name="试用")).to_be_visible()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert find_axe_violations(page) == [], width
        assert fits_its_width(page)
