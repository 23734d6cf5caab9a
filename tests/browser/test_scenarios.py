"""Scenarios in a real browser: what is switched on by a click is what a client then meets."""

from __future__ import annotations

import re
from pathlib import Path

import openai
import pytest
from playwright.sync_api import Page, expect

from aione_mock.settings import Settings
from tests.conftest import KEY

from .application import HOSTILE, Application, find_axe_violations, fits_its_width, needs_axe, needs_page

pytestmark = needs_page
_FILE = "rules:\n  - id: of-a-file\n    when: {text: weather}\n    then: {reply: {text: It rains.}}\n"
_RULE = {"id": "refunds", "when": {"text": "refund"}, "then": {"reply": {"text": "Never."}}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A mock with a scenario file."""
    path = tmp_path / "rules.yaml"
    path.write_text(_FILE)
    return Settings(scenarios=(path,))


def open_scenarios(page: Page, app: Application, item: str = "cut") -> None:
    page.goto(f"{app.url}/_mock/ui/#/scenarios?item={item}")
    expect(page.get_by_role("region", name=item, exact=True)).to_be_visible()


def ask_client(app: Application, text: str = "Hello", model: str = "gpt-5.4") -> str:
    """Ask as an application with the official SDK does."""
    with openai.OpenAI(base_url=f"{app.url}/v1", api_key=KEY, max_retries=0) as client:
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content or ""


def answer_of(app: Application, text: str) -> str:
    found: str = app.chat(text).json()["choices"][0]["message"]["content"]
    return found


def test_one_click_is_what_the_sdk_then_meets(page: Page, app: Application) -> None:
    open_scenarios(page, app)
    page.get_by_role("searchbox").fill("429 rate")
    names = page.locator(".names button")
    expect(names).to_have_count(1)
    names.click()
    page.get_by_role("textbox", name="retry_after").fill("7")
    page.get_by_role("button", name="The next call", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("scenario-1")
    row = page.get_by_role("region", name="Rules in force").get_by_role("listitem").first
    expect(row).to_contain_text("error: rate_limit_exceeded")
    with pytest.raises(openai.RateLimitError) as refused:
        ask_client(app)
    assert refused.value.response.headers["retry-after"] == "7"
    assert ask_client(app)
    expect(row).to_contain_text("done, played 1×")


def test_only_calls_that_fit_meet_it_until_it_is_off(page: Page, app: Application) -> None:
    open_scenarios(page, app, "upstream_timeout")
    when = page.get_by_role("region", name="When")
    when.get_by_role("textbox", name="model").fill("claude-*")
    when.get_by_role("spinbutton", name="How many calls").fill("2")
    when.get_by_role("button", name="The next calls:").click()
    expect(when.get_by_role("status")).to_be_visible()
    when.get_by_role("textbox", name="model").fill("")
    when.get_by_role("textbox", name="text").fill("lamp")
    when.get_by_role("button", name="Until switched off").click()
    in_force = page.get_by_role("region", name="Rules in force")
    expect(in_force.get_by_role("listitem")).to_have_count(3)
    assert ask_client(app)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            ask_client(app, model="claude-sonnet-4-6")
    assert ask_client(app, model="claude-sonnet-4-6")
    with pytest.raises(openai.InternalServerError):
        ask_client(app, "a lamp")
    in_force.get_by_role("button", name="Switch off: scenario-2").click()
    expect(in_force.get_by_role("listitem").first).to_contain_text("off · met 1×")
    assert ask_client(app, "a lamp")
    in_force.get_by_role("button", name="Switch on: scenario-2").click()
    expect(in_force.get_by_role("listitem").first).not_to_contain_text("off ·")
    with pytest.raises(openai.InternalServerError):
        ask_client(app, "a lamp")
    in_force.get_by_role("button", name="Delete: scenario-2").click()
    expect(in_force.get_by_role("listitem")).to_have_count(2)
    assert ask_client(app, "a lamp")
    in_force.get_by_role("button", name="Delete all scenarios").click()
    expect(in_force.get_by_role("listitem")).to_have_count(1)
    expect(in_force.get_by_role("listitem")).to_contain_text("rules.yaml:2")
    expect(in_force.get_by_role("listitem").get_by_role("button")).to_have_count(0)


def test_a_rule_edited_here_answers_the_next_call_and_mistakes_stand_in_their_lines(
    page: Page, app: Application
) -> None:
    app.client.post("/_mock/rules", json=_RULE)
    assert answer_of(app, "a refund") == "Never."
    open_scenarios(page, app)
    editor = page.get_by_role("region", name="Rules of this session")
    text = editor.get_by_role("textbox")
    expect(text).to_have_value(
        "rules:\n  - id: refunds\n    when:\n      text: refund\n    then:\n      reply:\n        text: Never.\n"
    )
    save = editor.get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    text.fill(text.input_value().replace("text: refund", "txt: refund"))
    expect(editor.get_by_role("alert")).to_contain_text("line 4 unknown member 'txt'; did you mean 'text'?")
    expect(editor.locator(".lines .wrong")).to_have_text("4")
    expect(save).to_be_disabled()
    editor.get_by_role("button", name="line 4").click()
    expect(text).to_be_focused()
    assert text.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "      txt: refund"
    expect(editor.get_by_text("What may stand in rules › when")).to_be_visible()
    expect(editor.get_by_role("button", name="tool_offered")).to_be_visible()
    page.keyboard.type("      text: refund")
    expect(text).to_have_value(re.compile("      text: refund"))
    text.fill(text.input_value().replace("Never.", "Tomorrow."))
    expect(editor.get_by_role("alert")).to_have_count(0)
    expect(save).to_be_enabled()
    text.press("Control+Enter")
    expect(editor.get_by_role("status")).to_contain_text("In force now, rules: 1.")
    assert answer_of(app, "a refund") == "Tomorrow."
    assert answer_of(app, "the weather") == "It rains."


def test_what_a_fault_does_is_shown_on_the_wire_and_in_clients(page: Page, app: Application) -> None:
    open_scenarios(page, app, "malformed_json")
    page.get_by_role("button", name="Show it on the wire").click()
    changed = page.get_by_role("region", name="With", exact=True).locator(".differs")
    expect(changed).to_have_count(1)
    whole = page.get_by_role("region", name="Without", exact=True).locator(".differs")
    expect(whole).to_have_count(1)
    assert whole.inner_text().endswith("}]}")
    assert changed.inner_text().endswith("}]")
    expect(page.get_by_role("region", name="What official clients make of it")).to_contain_text("json.JSONDecodeError")
    assert "page-preview" not in [each["name"] for each in app.client.get("/_mock/sessions").json()["items"]]
    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    page.keyboard.type("pace")
    expect(search).to_have_value("pace")
    page.keyboard.press("ArrowDown")
    page.locator("#scenario-pace").click()
    page.get_by_role("slider", name="ttft").fill("0.2")
    page.get_by_role("slider", name="tps").fill("150")
    page.get_by_role("button", name="Preview a stream").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("complete")
    expect(page.get_by_role("region", name="Preview").locator(".tick").first).to_be_attached()
    expect(page.get_by_text("X-Mock-Scenario: pace; ttft=0.2; tps=150")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "needs", "shown", "outcome"),
    [
        ("fenced_json", "", "```", "text, not parsed"),
        ("invented_tool", "for requests that offer tools", "finish_reason", "KeyError"),
        ("thinking_only", "for requests that let the model think", "", "no text"),
    ],
)
def test_awkward_answers_are_a_group_of_the_catalogue_and_shown_on_the_wire(
    page: Page, app: Application, name: str, needs: str, shown: str, outcome: str
) -> None:
    open_scenarios(page, app, name)
    expect(page.get_by_role("heading", name="Awkward answers")).to_be_visible()
    expect(page.locator(".names button", has_text=name)).to_be_visible()
    effect = page.get_by_role("region", name=name, exact=True)
    expect(effect).to_contain_text(needs)
    page.get_by_role("button", name="Show it on the wire").click()
    expect(page.get_by_role("region", name="With", exact=True).locator(".differs", has_text=shown)).not_to_have_count(0)
    expect(page.get_by_role("region", name="Without", exact=True)).to_contain_text("200")
    expect(page.get_by_role("region", name="What official clients make of it")).to_contain_text(re.compile(outcome))
    page.get_by_role("button", name="The next call", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("scenario-1")
    expect(page.get_by_role("region", name="Rules in force").get_by_role("listitem").first).to_contain_text(
        f"awkward: {name}"
    )


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_and_hostile_rules_are_text(page: Page, app: Application, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    app.client.post("/_mock/rules", json={"when": {"text": HOSTILE}, "then": {"reply": {"text": HOSTILE}}})
    open_scenarios(page, app, "duplicate_event")
    expect(page.get_by_role("region", name="Rules in force")).to_contain_text("<script>")
    page.get_by_role("button", name="Show it on the wire").click()
    expect(page.locator(".differs").first).to_be_visible()
    page.get_by_role("region", name="Rules of this session").get_by_role("textbox").fill("rules: 1")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("combobox", name="Language").select_option("zh")
    expect(page.get_by_role("heading", name="会话 default 的规则")).to_be_visible()
    expect(page.get_by_text("一个事件重复出现").first).to_be_visible()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert find_axe_violations(page) == [], width
        assert fits_its_width(page)
    for item in ("pace", "rate_limit_exceeded"):
        page.goto(f"{app.url}/_mock/ui/#/scenarios?item={item}")
        expect(page.get_by_role("region", name=item, exact=True)).to_be_visible()
        assert find_axe_violations(page) == [], item
    assert page.title() == "aione-mock"
    assert page.locator("img").count() == 0
