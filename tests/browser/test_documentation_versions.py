"""The published documentation: earlier versions stay, and readers can choose one."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, expect

from aione_mock.settings import VERSION

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
SERIES = ".".join(VERSION.split(".")[:2])


def run_git(*command: str | Path, cwd: Path) -> str:
    return subprocess.run(["git", *command], cwd=cwd, check=True, capture_output=True, text=True).stdout


def publish(remote: Path, work: Path) -> None:
    """Run the step of the workflow in a fresh clone that holds the files of this checkout."""
    run_git("clone", "--quiet", remote, work, cwd=remote)
    (work / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "docs.yml").read_text(encoding="utf-8"))
    script = next(step["run"] for step in workflow["jobs"]["publish"]["steps"] if step.get("name") == "Publish")
    environment = {**os.environ, "PYTHONPATH": str(work)}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish, add the pages of an earlier version, and publish again."""
    folder = tmp_path_factory.mktemp("versions")
    source, remote = folder / "source", folder / "remote.git"
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "node_modules", "site", "dist", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    run_git("init", "--quiet", "--initial-branch", "main", cwd=source)
    run_git("add", "--all", cwd=source)
    run_git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", "x", cwd=source)
    run_git("clone", "--quiet", "--bare", source, remote, cwd=folder)
    publish(remote, folder / "first")
    earlier = folder / "first" / "published"
    shutil.copytree(earlier / SERIES, earlier / "0.1")
    (earlier / "0.1" / "kept.txt").write_text("kept", encoding="utf-8")
    run_git("add", "--all", cwd=earlier)
    run_git("commit", "--quiet", "-m", "x", cwd=earlier)
    run_git("push", "--quiet", "origin", "gh-pages", cwd=earlier)
    publish(remote, folder / "second")
    run_git("clone", "--quiet", "--branch", "gh-pages", remote, folder / "pages", cwd=folder)
    return folder / "pages"


@pytest.fixture
def address(published: Path) -> Iterator[str]:
    """Serve what was published."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(published))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_readers_can_choose_a_version(page: Page, address: str, published: Path) -> None:
    assert (published / "0.1" / "kept.txt").read_text(encoding="utf-8") == "kept"
    page.goto(address)
    page.wait_for_url(f"**/{SERIES}/index.html")
    links = page.locator(".md-version__link")
    expect(links).to_have_text([SERIES, "0.1"])
    links.nth(1).evaluate("link => link.click()")
    page.wait_for_url("**/0.1/**")


def test_an_unknown_path_leads_to_pages_of_the_newest_version(published: Path) -> None:
    links = re.findall(r'(?:href|src)="/aione-mock/([^"#]+)', (published / "404.html").read_text(encoding="utf-8"))
    assert f"{SERIES}/zh/index.html" in links
    assert [link for link in links if not (published / link).is_file()] == []
    assert not (published / SERIES / "zh" / "404.html").exists()


def test_the_site_map_names_pages_that_are_there(published: Path) -> None:
    text = (published / SERIES / "sitemap.xml").read_text(encoding="utf-8")
    pages = re.findall(r"<loc>https://aione-mock\.github\.io/aione-mock/(.+?)</loc>", text)
    assert f"{SERIES}/how-to/image.html" in pages
    assert [page for page in pages if not (published / page).is_file()] == []
