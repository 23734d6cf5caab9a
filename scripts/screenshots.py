"""Take the screenshots of the page that the documentation shows: `python scripts/screenshots.py`.

A mock with a seed and a clock that stands still is asked a few things, so that only durations differ between runs.
`--all FOLDER` takes every view, narrow ones too, to be looked at. It needs Chromium and the extra `dev`.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings

ROOT = Path(__file__).parent.parent
SIZES = {"wide": ViewportSize(width=1280, height=640), "narrow": ViewportSize(width=390, height=844)}
KEY = {"authorization": "Bearer sk-nex-demo-every-model"}
PACED = {"x-mock-scenario": "pace; ttft=0.35; tps=60; jitter=0.6"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The forecast for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
RULE = {
    "id": "support-desk",
    "when": {"text": "refund", "model": "gpt-*"},
    "then": {"reply": {"text": "A refund takes five working days. Your order is on its way back to us."}},
}
VIEWS = {
    "traffic": ("", ""),
    "conversation": ("#/traffic?call=default/6&tab=conversation", ""),
    "stream": ("#/traffic?call=default/2&tab=stream", ""),
    "stream-fault": ("#/traffic?call=default/5&tab=stream", ""),
    "raw": ("#/traffic?call=default/6&tab=raw", ""),
    "why": ("#/traffic?call=default/8&tab=why", ""),
    "rule": ("#/traffic?call=default/2&tab=conversation", "r"),
    "scenarios": ("#/scenarios?item=malformed_json", ""),
    "playground": ("#/playground", ""),
    "organisation": ("#/organisation", ""),
    "charts": ("#/organisation?item=7d", ""),
    "reference": ("#/reference", ""),
    "keys": ("", "?"),
    "start": ("#/traffic?session=empty", ""),
}
"""Name to the address, and the key that is pressed there."""
CLICKS = {"reference": "#operations-OpenAI-createChatCompletion .opblock-summary-control"}
"""Name of a view to what is clicked there."""
PLACES = {"charts": ".legend", "reference": ".opblock.is-open"}
"""Name of a view to what it is scrolled to."""
SHOWN = ("traffic", "stream", "charts", "reference")
"""Views that the documentation shows."""


READY = ".call, .empty, .names button, .question option, .legend, .opblock"
"""What a view shows when it has been read."""
SCROLL = "node => { node.closest('.view').scrollTop += node.getBoundingClientRect().top - 120 }"


def send_chat(client: httpx2.Client, words: str, headers: dict[str, str] | None = None, **members: object) -> None:
    """Ask for a chat completion."""
    messages = [
        {"role": "system", "content": "You are the support desk of a lamp shop. Answer briefly."},
        {"role": "user", "content": words},
    ]
    body = {"model": "gpt-5.4", "messages": messages, **members}
    with contextlib.suppress(httpx2.HTTPError):
        client.post("/v1/chat/completions", headers=KEY | (headers or {}), json=body)
    client.post("/_mock/clock", json={"advance": "7s"})


def make_calls(client: httpx2.Client) -> None:
    """Ask a little of everything."""
    client.post("/_mock/rules", json=RULE)
    client.get("/v1/models", headers=KEY)
    send_chat(client, "Which of your lamps suits a reading corner?", PACED, stream=True)
    question = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 200,
        "messages": [{"role": "user", "content": "天空为什么是蓝色的？"}],
    }
    client.post("/v1/messages", headers=KEY | {"anthropic-version": "2023-06-01"}, json=question)
    send_chat(client, "Where is my refund?", model="gpt-5.2")
    send_chat(
        client,
        "Tell me a long story about a lamp.",
        {"x-mock-scenario": "stall; after=6; seconds=0.8; then=cut"},
        stream=True,
    )
    send_chat(client, "Do I need an umbrella in Hangzhou tomorrow?", tools=[WEATHER])
    send_chat(client, "Anything", temperature="hot")
    send_chat(client, "Can I have a reimbursement?")
    client.post("/v1/chat/complete", headers=KEY, json={})
    for _ in range(3):
        send_chat(client, "Hello", {"authorization": "Bearer sk-nex-rpm-two-a-minute"})
    draw = {"contents": [{"role": "user", "parts": [{"text": "A lamp at dusk"}]}]}
    client.post(
        "/v1beta/models/gemini-3.1-flash-image-preview:generateContent",
        headers={"x-goog-api-key": KEY["authorization"][7:]},
        json=draw,
    )
    send_chat(client, "Which lamp is the brightest?", {"x-mock-scenario": "upstream_timeout"})


def take_screenshots(browser: Browser, url: str, folder: Path, *, everything: bool) -> None:
    """Take the views in light and dark."""
    for scheme in ("light", "dark"):
        for width, viewport in SIZES.items() if everything else [("wide", SIZES["wide"])]:
            context = browser.new_context(viewport=viewport, color_scheme=scheme)
            for name, (address, key) in VIEWS.items():
                if not everything and name not in SHOWN:
                    continue
                page = context.new_page()
                page.goto(f"{url}/_mock/ui/{address}")
                page.wait_for_selector(READY, state="attached")
                if name in CLICKS:
                    page.locator(CLICKS[name]).click()
                if name in PLACES:
                    page.locator(PLACES[name]).evaluate(SCROLL)
                time.sleep(0.5)
                if key:
                    page.keyboard.press(key)
                    page.wait_for_selector("dialog[open]")
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")
                page.close()
            context.close()


def main() -> None:
    """Serve, ask and take pictures."""
    everything = sys.argv[1:2] == ["--all"]
    folder = Path(sys.argv[2]) if everything else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    app = create_app(Settings(seed="7", now=parse_instant("2026-11-20T09:04:12Z")))
    with Server(app) as server, httpx2.Client(base_url=server.url, timeout=60) as client, sync_playwright() as play:
        make_calls(client)
        client.post("/_mock/sessions", json={"name": "empty", "now": "2026-11-20T09:04:12Z"})
        browser = play.chromium.launch(executable_path=shutil.which("chromium"))
        take_screenshots(browser, server.url, folder, everything=everything)
        browser.close()


if __name__ == "__main__":
    main()
