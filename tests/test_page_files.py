"""How the page reaches a browser: from `/`, with headers that keep it safe, and not where it is switched off."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from aione_mock.server import pipeline
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.server.page import PageFiles
from aione_mock.settings import Settings, locate_page
from tests.timing import at_best, cost, make_untraced_environment

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
INDEX, SCRIPT = b"<!doctype html><title>aione-mock</title>", b"console.log(1)"
Serve = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of built files, which needs no Node."""
    built = tmp_path / "dist"
    built.mkdir()
    (built / "index.html").write_bytes(INDEX)
    (built / "index-D1gest.js").write_bytes(SCRIPT)
    (built / ".sources").write_text("digest")
    (tmp_path / "secret.js").write_text("hidden words")
    monkeypatch.setattr(pipeline, "locate_page", lambda: built)
    return built


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(**options: Any) -> str:
            return stack.enter_context(Server(create_app(Settings(**options)))).url

        yield start


def test_a_browser_is_led_to_the_page_and_a_program_gets_the_404(serve: Serve) -> None:
    url = serve()
    led = httpx2.get(url, headers=BROWSER)
    assert (led.status_code, led.headers["location"]) == (307, "/_mock/ui/")
    assert httpx2.get(f"{url}/_session/mine/", headers=BROWSER).headers["location"] == "/_session/mine/_mock/ui/"
    assert httpx2.get(url, headers=BROWSER, follow_redirects=True).content == INDEX
    assert httpx2.get(url, headers={"accept": "application/json"}).status_code == 404


def test_docs_lead_a_browser_to_the_reference_and_a_program_gets_the_404(serve: Serve) -> None:
    url = serve()
    led = httpx2.get(f"{url}/docs", headers=BROWSER)
    assert (led.status_code, led.headers["location"]) == (307, "/_mock/ui/#/reference")
    assert httpx2.get(f"{url}/_session/a/docs", headers=BROWSER).headers["location"].startswith("/_session/a/_mock/ui")
    refused = httpx2.get(f"{url}/docs", headers={"accept": "application/json"})
    assert (refused.status_code, refused.json()["error"]["message"][:18]) == (404, "Unknown path /docs")
    assert httpx2.post(f"{url}/docs", headers=BROWSER).status_code == 404
    for options in ({"ui": False}, {"control": False}):
        assert httpx2.get(f"{serve(**options)}/docs", headers=BROWSER).status_code == 404


def test_the_plain_page_names_the_scheme_of_the_server(tmp_path: Path) -> None:
    with Server(create_app(Settings(ui=False, tls_self_signed=True))) as server:
        assert (
            f"<code>{server.url.replace('http:', 'https:')}/v1</code>" in httpx2.get(server.url, headers=BROWSER).text
        )
        proxied = httpx2.get(server.url, headers=BROWSER | {"x-forwarded-proto": "https"})
        assert "https://" in proxied.text


def test_files_are_kept_by_browsers_and_the_page_is_asked_for_again(serve: Serve) -> None:
    url = serve()
    page, script = httpx2.get(f"{url}/_mock/ui/"), httpx2.get(f"{url}/_mock/ui/index-D1gest.js")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = httpx2.get(f"{url}/_mock/ui/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_may_load_nothing_from_elsewhere_and_stands_in_no_frame(serve: Serve) -> None:
    headers = httpx2.get(f"{serve()}/_mock/ui/").headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"]) == ("'self'", "'none'")
    assert not [part for part in policy.values() if "unsafe" in part or "http" in part]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["../secret.js", "%2e%2e/secret.js", "..%2fsecret.js", ".sources", "none.js", "//"])
def test_no_other_file_is_served(serve: Serve, path: str) -> None:
    with httpx2.Client() as client:
        answer = client.get(f"{serve()}/_mock/ui/{path}")
    assert answer.status_code == 404
    assert "hidden words" not in answer.text


@pytest.mark.parametrize("options", [{"ui": False}, {"control": False}])
def test_it_is_switched_off(serve: Serve, options: dict[str, bool]) -> None:
    url = serve(**options)
    assert httpx2.get(f"{url}/_mock/ui/").status_code == 404
    plain = httpx2.get(url, headers=BROWSER)
    assert (plain.status_code, "base URLs" in plain.text, "not built" in plain.text) == (200, True, False)
    assert ("/_mock/journal" in plain.text) == ("control" not in options)


def test_a_page_that_is_not_built_says_how_to_build_it(serve: Serve, folder: Path) -> None:
    (folder / "index.html").unlink()
    url = serve(allowed_hosts=("*",))
    page = httpx2.get(url, headers=BROWSER | {"host": "<b>:1"})
    assert "make web" in page.text
    assert "http://&lt;b&gt;:1/v1" in page.text
    assert "<b>" not in page.text
    assert "make web" in httpx2.get(f"{url}/_mock/ui/").text


def test_a_name_that_is_not_its_own_is_refused(serve: Serve) -> None:
    assert httpx2.get(f"{serve()}/_mock/ui/", headers={"host": "rebound.example"}).status_code == 421


def test_it_lies_below_the_path_at_which_the_mock_is_mounted(folder: Path) -> None:
    with Server(Starlette(routes=[Mount("/mock", create_app(Settings()))])) as server:
        led = httpx2.get(f"{server.url}/mock/", headers=BROWSER)
        assert led.headers["location"] == "/mock/_mock/ui/"
        assert httpx2.get(server.url + led.headers["location"]).content == INDEX


def test_the_journal_holds_no_page(serve: Serve) -> None:
    url = serve()
    httpx2.get(url, headers=BROWSER, follow_redirects=True)
    assert httpx2.get(f"{url}/_mock/journal").json()["total"] == 0


PAGE_MODULES = (
    "server.page",
    "server.served_contract",
    "server.events",
    "server.control.events",
    "server.control.organisation",
    "text.yaml_writer",
)


@at_best
def test_what_exists_for_the_page_alone_takes_less_than_ten_milliseconds_of_a_start() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "import aione_mock.server.app"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=make_untraced_environment()).stderr
    lines = [line.removeprefix("import time:").split("|") for line in told.splitlines() if "aione_mock" in line]
    own = {name.strip().removeprefix("aione_mock."): int(took) for took, _, name in lines}
    assert sum(own[module] for module in PAGE_MODULES) < 10_000
    found = cost(lambda: PageFiles(locate_page(), enabled=True, control=True, scheme="http"))
    assert found < 0.001


def test_every_scenario_and_option_has_chinese_words() -> None:
    words = Path(__file__).parents[1] / "web" / "src" / "words" / "scenarios_zh.ts"
    known = set(re.findall(r'^  "(.+?)":', words.read_text(encoding="utf-8"), re.MULTILINE))
    catalogue = create_app().pipeline.scenarios.catalogue
    scenarios = [each for each in catalogue if each.kind != "error"]
    assert {each.title for each in scenarios} <= known
    assert {option.description for each in catalogue for option in each.options} <= known
