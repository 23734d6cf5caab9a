"""What can be done with a call, in a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from playwright.sync_api import Page, expect

from tests.conftest import KEY

from .application import HOSTILE, WAIT, Application, find_axe_violations, fits_its_width, needs_axe, needs_page
from .traffic_view import find_panel, find_row, find_rows, open_call, open_traffic

DIALOG_KEYS = ("r", "t", "c", "e")

pytestmark = needs_page
ANTHROPIC = {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": [{"role": "user", "content": 'It\'s "so"'}]}
GEMINI = {
    "contents": [{"role": "user", "parts": [{"text": 'It\'s "so" — 引用 $HOME'}]}],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {"maxOutputTokens": 50},
}
OPENAI = {"model": "gpt-5.4", "messages": [{"role": "user", "content": 'It\'s "so" — 引用 $HOME'}], "stream": True}


def test_a_rule_made_from_a_call_answers_the_next_one(page: Page, app: Application) -> None:
    app.client.post("/_mock/rules", json={"when": {"text": "refund"}, "then": {"reply": {"text": "Never."}}})
    app.chat("Where is my refund?")
    open_traffic(page, app)
    find_row(page, 1).click()
    expect(find_panel(page, 1, "conversation")).to_contain_text("Never.")
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog")
    asked = dialog.get_by_role("textbox", name="text in the last user message")
    expect(asked).to_have_value("Where is my refund?")
    dialog.get_by_role("textbox", name="Text of the answer").fill("Tomorrow, <b>surely</b>.")
    dialog.get_by_role("textbox", name="Name of the rule").fill("no spaces allowed")
    dialog.get_by_role("button", name="Save to session default").click()
    expect(dialog.get_by_role("alert")).to_contain_text("no spaces allowed")
    dialog.get_by_role("textbox", name="Name of the rule").fill("tomorrow")
    dialog.get_by_role("button", name="Save to session default").click()
    expect(dialog.get_by_role("status")).to_contain_text("tomorrow")
    assert app.chat("Where is my refund?").json()["choices"][0]["message"]["content"] == "Tomorrow, <b>surely</b>."
    dialog.get_by_text("As YAML").click()
    pasted = dialog.locator(".code").inner_text()
    app.client.delete("/_mock/rules/tomorrow")
    rules = yaml.safe_load(pasted)
    assert app.client.put("/_mock/rules", json=rules).status_code == 200
    assert app.chat("Where is my refund?").json()["choices"][0]["message"]["content"].startswith("Tomorrow")
    expect(find_rows(page).first).to_contain_text("tomorrow")


def test_a_rule_made_from_a_cut_call_cuts_again(page: Page, app: Application) -> None:
    with contextlib.suppress(httpx2.HTTPError):
        app.chat("Hello", "cut; after=3", stream=True)
    open_call(page, app)
    heading = page.get_by_role("region", name="The selected call", exact=True)
    expect(heading).to_contain_text("tokens billed")
    broken, damaged = (
        page.get_by_role("button", name="1 broken"),
        page.get_by_role("button", name="1 damaged on purpose"),
    )
    expect(broken).to_have_attribute("title", re.compile("damaged on purpose count too"))
    expect(damaged).to_have_attribute("title", re.compile("count as broken too"))
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Save to session default").click()
    expect(dialog.get_by_role("status")).to_be_visible()
    (rule,) = app.client.get("/_mock/rules").json()["items"]
    assert rule["rule"]["then"] == {"faults": [{"name": "cut", "after": 3}]}
    assert rule["rule"]["when"]["stream"] is True
    page.goto(f"{app.url}/_mock/ui/#/scenarios")
    editor = page.get_by_role("region", name="Rules of this session")
    expect(editor.get_by_role("heading", name="Rules of session default")).to_be_visible()
    expect(editor.get_by_role("button", name="Save to session default")).to_be_visible()


@pytest.mark.parametrize(
    ("target", "path", "body"),
    [
        ("curl", "/v1/chat/completions", OPENAI),
        ("Python · openai", "/v1/chat/completions", OPENAI),
        ("Python · anthropic", "/v1/messages", ANTHROPIC),
        ("Python · google-genai", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", GEMINI),
        ("fetch", "/v1/messages", ANTHROPIC),
    ],
)
def test_a_copied_call_can_be_made_again(
    page: Page, app: Application, target: str, path: str, body: Any, tmp_path: Path
) -> None:
    if target == "fetch" and shutil.which("node") is None:
        pytest.skip("there is no Node here to run it")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    assert app.client.post(path, json=body).status_code == 200
    open_call(page, app)
    page.evaluate("navigator.clipboard.writeText('')")
    page.get_by_role("combobox", name="Copy as").select_option(target)
    # what says that it was copied goes after a moment
    code = page.wait_for_function("navigator.clipboard.readText()").json_value()
    script = tmp_path / "again.py"
    script.write_text(code)
    commands = {"curl": ["bash", "-c", code], "fetch": ["node", "--input-type=module", "-e", code]}
    command = commands.get(target, [sys.executable, str(script)])
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), KEY)
    done = subprocess.run(
        command, env={**os.environ, **keys}, capture_output=True, text=True, timeout=2 * WAIT, check=False
    )
    assert done.returncode == 0, done.stderr
    one, other = (app.read_call(number) for number in (1, 2))
    for name in body:
        if isinstance(body[name], str | bool | int) or name in ("messages", "contents"):
            assert other["request"]["body"][name] == one["request"]["body"][name]
    assert (other["status"], other["operation"], other["usage"]) == (200, one["operation"], one["usage"])


TOOL = {"name": "get_weather", "description": "The weather in a city.", "parameters": {"type": "object"}}
CALLS_A_TOOL = {**OPENAI, "tools": [{"type": "function", "function": TOOL}], "tool_choice": "required"}
FOREIGN = {**OPENAI, "stream": False, HOSTILE: HOSTILE, "user": '\u202e\x1b[31m\'"""\\', "n": 2, "seed": None}
GEMINI_PATH = "/v1beta/models/gemini-2.5-flash"
TESTED: dict[str, tuple[str, Any, str]] = {
    "openai streamed": ("/v1/chat/completions", OPENAI, ""),
    "openai tool streamed": ("/v1/chat/completions", CALLS_A_TOOL, ""),
    "openai tool": ("/v1/chat/completions", {**CALLS_A_TOOL, "stream": False}, ""),
    "openai hostile": ("/v1/chat/completions", FOREIGN, f"reply; text={HOSTILE[:60]}"),
    "openai invalid": ("/v1/chat/completions", {**OPENAI, "temperature": "hot"}, ""),
    "openai error": ("/v1/chat/completions", OPENAI, "rate_limit_exceeded; retry_after=3"),
    "openai cut": ("/v1/chat/completions", OPENAI, "cut; after=3"),
    "anthropic": ("/v1/messages", {**ANTHROPIC, "temperature": 0.5, "system": "Be brief."}, ""),
    "anthropic streamed": ("/v1/messages", {**ANTHROPIC, "stream": True}, ""),
    "anthropic count": (
        "/v1/messages/count_tokens",
        {name: ANTHROPIC[name] for name in ("model", "messages")},
        "",
    ),
    "anthropic error": ("/v1/messages", ANTHROPIC, "overloaded"),
    "gemini": (f"{GEMINI_PATH}:generateContent", GEMINI, ""),
    "gemini streamed": (f"{GEMINI_PATH}:streamGenerateContent?alt=sse", GEMINI, ""),
    "gemini error": (f"{GEMINI_PATH}:generateContent", GEMINI, "internal_error"),
    "gemini damaged": (f"{GEMINI_PATH}:streamGenerateContent?alt=sse", GEMINI, "malformed_json; at=2"),
}


@pytest.mark.slow
def test_a_test_made_of_a_call_passes(page: Page, app: Application, tmp_path: Path) -> None:
    numbers = {}
    for number, (name, (path, body, scenario)) in enumerate(TESTED.items(), start=1):
        with contextlib.suppress(httpx2.HTTPError):
            app.client.post(path, json=body, headers={"x-mock-scenario": scenario} if scenario else {})
        numbers[name] = number
    open_call(page, app)
    dialog = page.get_by_role("dialog")
    for name, number in numbers.items():
        find_row(page, number).click()
        find_panel(page, number, "conversation")
        page.keyboard.press("t")
        code = dialog.get_by_role("region", name="Python").inner_text()
        (tmp_path / f"test_{name.replace(' ', '_')}.py").write_text(code)
        dialog.get_by_role("button", name="Close").press("Enter")
        expect(dialog).to_have_count(0)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=4 * WAIT, check=False
    )
    assert f"{len(TESTED)} passed" in done.stdout, done.stdout + done.stderr
    for file in tmp_path.glob("test_*.py"):
        assert not {"\u202e", "\x1b"} & set(file.read_text())


SHORT = {
    "cut": "cut; after=3",
    "stall": "stall; after=2; seconds=0.1",
    "slow_body": "slow_body; seconds=0.1; parts=3",
    "drip": "drip; size=99; seconds=0.001",
    "html_page": "html_page; status=503",
    "rate_limit_exceeded": 'rate_limit_exceeded; retry_after=7; message="slow, down"',
    "pace": "pace; ttft=0.01; tps=4000",
    "big_event": "big_event; size=99",
    "reply": "reply; text=Hi; finish=length, cut; after=3",
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
LOOKS = """
    import httpx2
    played = httpx2.get(f"{aione_mock.base_url}/_mock/journal/1").json()["explain"]["action"]
    assert played == {**played, **%r}
"""


@pytest.mark.slow
def test_a_test_keeps_whatever_a_rule_played(page: Page, app: Application, tmp_path: Path) -> None:
    """A test is made of each scenario of the catalogue, of a stream or else of a plain answer."""
    catalogue = [each for each in app.client.get("/_mock/scenarios").json()["items"] if each["name"] != "very_long"]
    open_traffic(page, app)
    number, left = 0, set()
    for name, header in [(each["name"], each["header"].partition(": ")[2]) for each in catalogue]:
        app.client.put("/_mock/rules", json={"rules": []})
        app.client.post("/_mock/scenarios", json={"scenario": SHORT.get(name, header)})
        for stream in (True, False):
            number += 1
            with contextlib.suppress(httpx2.HTTPError):
                body = {**CALLS_A_TOOL, "tool_choice": "auto", "response_format": SCHEMA, "stream": stream}
                app.client.post("/v1/chat/completions", json=body, timeout=3)
            if action := app.read_call(number)["explain"]["action"]:
                break
        app.client.delete("/_mock/scenarios")
        if not action:
            left.add(name)
            continue
        page.goto(f"{app.url}/_mock/ui/#/traffic?call=default/{number}&tab=why")
        find_panel(page, number, "why")
        page.keyboard.press("t")
        code = page.get_by_role("dialog").get_by_role("region", name="Python").inner_text()
        (tmp_path / f"test_{name}.py").write_text(code.rstrip() + LOOKS % action)
        page.keyboard.press("Escape")
    made = len(catalogue) - len(left)
    assert left.isdisjoint(each["name"] for each in catalogue if each["kind"] in ("fault", "pace", "reply")), left
    assert made > 50, left
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=8 * WAIT, check=False
    )
    assert f"{made} passed" in done.stdout, done.stdout + done.stderr


def test_a_test_is_saved_as_a_file_or_said_to_be_impossible(page: Page, app: Application) -> None:
    app.chat("Hello")
    app.client.get("/v1/models")
    open_call(page, app)
    page.get_by_role("button", name="Make a test").press("Enter")
    # long code scrolls, and does not lie over the buttons
    assert page.get_by_role("region", name="Python").evaluate("code => getComputedStyle(code).overflowY") == "auto"
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name="Save as a file").press("Enter")
    assert download.value.suggested_filename == "test_call_1.py"
    assert "def test_hello(aione_mock, aione_openai):" in download.value.path().read_text()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    find_row(page, 2).click()
    find_panel(page, 2, "conversation")
    page.keyboard.press("t")
    expect(page.get_by_role("dialog")).to_contain_text("Only a call to a model becomes a test")


def test_two_calls_are_compared(page: Page, app: Application) -> None:
    app.chat("Where is my lamp?", user=HOSTILE)
    app.chat("Hello")
    app.client.get("/v1/models")
    app.chat("Where is my chair?", "pace; ttft=0.2; tps=400", stream=True, max_tokens=20)
    open_call(page, app, 4)
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("combobox", name="Call #4 and")).to_have_value("default/2")
    dialog.get_by_role("combobox", name="Call #4 and").select_option("default/1")
    request, timing = (dialog.get_by_role("region", name=name) for name in ("Request", "Timing"))
    row = request.get_by_role("row").filter(has_text="messages[0].content")
    expect(row.get_by_role("cell").nth(0)).to_have_text("Where is my chair?")
    expect(row.get_by_role("cell").nth(0).locator("mark")).to_have_text("chair")
    expect(row.get_by_role("cell").nth(1).locator("mark")).to_have_text("lamp")
    expect(request.get_by_role("row").filter(has_text="max_tokens")).to_contain_text("20absent")
    expect(request).to_contain_text("<script>document.title='run'</script>")
    expect(timing.get_by_role("row").filter(has_text="first token")).to_contain_text("0.20 s")
    expect(dialog.get_by_role("region", name="Answer")).to_contain_text("answer[0][0].text")
    page.reload()
    expect(dialog.get_by_role("combobox", name="Call #4 and")).to_have_value("default/1")
    expect(request).to_contain_text("max_tokens")
    dialog.get_by_role("button", name="Close").press("Enter")
    expect(dialog).to_have_count(0)
    assert "item=" not in page.url
    assert page.title() == "aione-mock"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", "/v1/chat/completions", {"x-mock-scenario": "reply; text=Aha"}, OPENAI),
        ("POST", "/v1/messages", {"x-api-key": "sk-nex-sandbox-for-trying", "authorization": ""}, ANTHROPIC),
        ("POST", f"{GEMINI_PATH}:generateContent?key=sk-nex-sandbox-for-trying", {"authorization": ""}, GEMINI),
        ("GET", "/api/v1/billing/account", {"authorization": "Bearer nex-console-tech"}, None),
    ],
)
def test_a_call_is_replayed_and_the_new_one_selected(
    page: Page, app: Application, method: str, path: str, headers: dict[str, str], body: Any
) -> None:
    own = {name: value for name, value in {**app.client.headers, **headers}.items() if value}
    first = httpx2.request(method, app.url + path, json=body, headers=own)
    assert first.status_code == 200
    open_call(page, app, tab="raw")
    page.get_by_role("button", name="Replay").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("combobox", name="Key")).not_to_have_value("")
    dialog.get_by_role("combobox", name="Key").press("Enter")
    expect(dialog).to_have_count(0)
    expect(find_row(page, 2)).to_have_attribute("aria-selected", "true")
    find_panel(page, 2, "raw")
    one, other = app.read_call(), app.read_call(2)
    for name in ("operation", "method", "path", "status", "stream", "key", "scenario"):
        assert other[name] == one[name], name
    assert other["request"]["body"] == one["request"]["body"]
    assert other["explain"]["occurrence"] in (1, 2)


def test_a_replay_says_what_it_cannot_do(page: Page, app: Application) -> None:
    app.chat("x" * 70_000)
    with contextlib.suppress(httpx2.HTTPError):
        app.chat("Hello", "reset")
    open_call(page, app)
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The journal holds only a part of this request.")
    expect(dialog.get_by_role("button", name="Send")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    find_row(page, 2).click()
    find_panel(page, 2, "conversation")
    page.keyboard.press("e")
    dialog.get_by_role("combobox", name="Key").fill("sk-nex-demo-every-model")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_role("status")).to_contain_text("no answer came that names its request")
    expect(find_row(page, 3)).to_be_visible()


@needs_axe
@pytest.mark.parametrize(("scheme", "width", "language"), [("light", 390, "zh"), ("dark", 1280, "en")])
def test_dialogs_of_a_call_are_for_everybody(
    page: Page, app: Application, scheme: Any, width: int, language: str
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    app.chat(HOSTILE, stream=True, user=HOSTILE)
    app.chat("Hello")
    open_call(page, app)
    page.get_by_role("combobox", name="Language").select_option(language)
    for key in DIALOG_KEYS:
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert find_axe_violations(page) == [], key
        assert fits_its_width(page), key
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.title() == "aione-mock"
    assert page.locator("img").count() == 0
