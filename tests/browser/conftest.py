"""A real browser, Debian's Chromium, a mock to look at, and a page of another origin."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from aione_mock.server.http import Server
from aione_mock.settings import Settings

from .application import WAIT, Application, serve_application

_OPTIONS = (
    "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    " --disable-sync"
)
expect.set_options(timeout=WAIT * 1000)


# Playwright's event loop counts as running until it ends, so it must not outlast the tests of this folder
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no Chromium here; CI has it (apt-get install chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=_OPTIONS.split())
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page without cookies or cache."""
    context = browser.new_context()
    context.set_default_timeout(WAIT * 1000)
    yield context.new_page()
    context.close()


@pytest.fixture
def settings() -> Settings:
    """How the mock of a test is set up; files override it."""
    return Settings()


@pytest.fixture
def app(settings: Settings) -> Iterator[Application]:
    """An application of a mock of the test's own."""
    with serve_application(settings) as application:
        yield application


@pytest.fixture
def session_name(app: Application, request: pytest.FixtureRequest) -> str:
    """The name of a new session."""
    name = request.node.originalname.removeprefix("test_").replace("_", "-")[:60]
    assert app.client.post("/_mock/sessions", json={"name": name}).status_code == 201
    return str(name)


@pytest.fixture(scope="package")
def other_origin() -> Iterator[str]:
    """The URL of a web application of the user's own, on another port."""
    blank = Route("/", lambda _: HTMLResponse("<!doctype html><title>application</title>"))
    with Server(Starlette(routes=[blank])) as application:
        yield application.url
