"""An application that asks the mock while somebody looks at the page, and what is checked of every view."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page

from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings, locate_page
from tests.conftest import KEY

WAIT = 30.0
"""Seconds to wait for what is sure to come, in the browser and from the mock."""
HOSTILE = "<script>document.title='run'</script><img src=x onerror=document.title='run'> \x1b[31m \u202etxt.exe"
AXE = Path(__file__).parent.parent.parent / "web" / "node_modules" / "axe-core" / "axe.min.js"

needs_page = pytest.mark.skipif(
    not (locate_page() / "index.html").is_file(), reason="the page is not built here; CI builds it (make web)"
)
needs_axe = pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is not installed here; `make check` installs it where Node is"
)


class Application:
    """An application that asks the mock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx2.Client(base_url=url, timeout=WAIT, headers={"authorization": f"Bearer {KEY}"})

    def chat(self, text: str, scenario: str = "", **members: Any) -> httpx2.Response:
        """Ask for a chat completion."""
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **members}
        headers = {"x-mock-scenario": scenario} if scenario else {}
        return self.client.post("/v1/chat/completions", json=body, headers=headers)

    def start(self, text: str, scenario: str, **members: Any) -> threading.Thread:
        """Ask in a thread."""

        def ask() -> None:
            with contextlib.suppress(httpx2.HTTPError):
                self.chat(text, scenario, **members)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        return thread

    def read_call(self, number: int = 1) -> Any:
        """Return a call as the journal of the default session shows it."""
        return self.client.get(f"/_mock/journal/{number}").json()


@contextlib.contextmanager
def serve_application(settings: Settings, port: int = 0) -> Iterator[Application]:
    """Serve a mock and yield an application of it."""
    with Server(create_app(settings), port=port) as server:
        application = Application(server.url)
        with application.client:
            yield application


def find_axe_violations(page: Page, exclude: str = "") -> list[str]:
    """Return what axe-core finds wrong with the page as it is shown, but for elements that `exclude` selects."""
    page.evaluate(AXE.read_text())
    context = {"exclude": [exclude]} if exclude else {"include": ["html"]}
    found = page.evaluate("context => axe.run(context).then(result => result.violations)", context)
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]} {each['nodes'][0]['failureSummary']}" for each in found]


def fits_its_width(page: Page) -> bool:
    """Return whether nothing of the page lies beside the window."""
    fits: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return fits
