"""The documentation site: it builds without a warning, names everything there is, and needs no other server."""

from __future__ import annotations

import html
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from aione_mock.checker.laws import LAWS, RULES
from aione_mock.cli.contract import load_bundled_contract
from aione_mock.mutants import MUTANTS
from aione_mock.scenarios.awkward import AWKWARD_ANSWERS
from aione_mock.scenarios.faults import FAULTS
from aione_mock.settings import EXTENSIONS, Settings
from aione_mock.tenant.organisation_file import list_credentials
from aione_mock.testing import MockSession

ROOT = Path(__file__).parents[1]
LINK = re.compile(r'(?:href|src|srcset)="([^"]*)"')
ID = re.compile(r'\bid="([^"]+)"')
TAG = re.compile(r"<[^>]+>")
EXPLANATION = re.compile(r'"(x-mock-[a-z-]+)"')


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("build_docs")


@pytest.fixture(scope="module")
def site(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("documentation") / "site"
    script.build_site(tmp_path_factory.mktemp("sources"), target)
    return target


def read(page: Path) -> str:
    """Return the words of a page."""
    return html.unescape(TAG.sub("", page.read_text(encoding="utf-8")))


def test_settings_are_there(site: Path) -> None:
    text = read(site / "reference" / "settings.html")
    missing = [name for name in Settings.model_fields if f"AIONE_MOCK_{name.upper()}" not in text]
    assert missing == []
    assert [name for name, info in Settings.model_fields.items() if (info.description or "?")[:20] not in text] == []


def test_commands_and_their_options_are_there(site: Path, script: ModuleType) -> None:
    text = read(site / "reference" / "cli.html")
    options = {
        option
        for path, command in script.commands.list_commands()
        for parameter in command.params
        if not getattr(parameter, "hidden", False)
        for option in (path, *parameter.opts, *parameter.secondary_opts)
        if option.startswith(("-", "aione-mock"))
    }
    assert len(options) > 120
    assert sorted(option for option in options if option not in text) == []


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("laws", [law.name for law in (*LAWS, *RULES)]),
        ("laws", [law.sentence.replace("`", "") for law in (*LAWS, *RULES)]),
        ("laws", list(MUTANTS)),
        ("scenarios", [*FAULTS, *AWKWARD_ANSWERS, "instant", "realistic", "pace", "reply"]),
        ("errors", sorted({name for each in load_bundled_contract(None).operations.values() for name in each.errors})),
        ("keys", [credential.secret for credential in list_credentials()]),
        (
            "testing",
            [name for name in dir(MockSession) if not name.startswith("_") and name not in ("snapshots", "waits")],
        ),
        (
            "rules",
            list(load_bundled_contract(None).documents["control.yaml"]["components"]["schemas"]["When"]["properties"]),
        ),
    ],
    ids=["laws", "sentences", "mutants", "scenarios", "errors", "keys", "session", "conditions"],
)
def test_lists_of_the_code_are_complete(site: Path, page: str, names: list[str]) -> None:
    text = " ".join(read(site / "reference" / f"{page}.html").split())
    assert [name for name in names if name not in text] == []


def test_a_rule_has_the_evidence_of_what_an_answer_contradicts(site: Path) -> None:
    text = read(site / "reference" / "laws.html")
    assert text.count("That of the part of the contract that an answer contradicts.") == len(RULES)


def test_operations_are_there(site: Path) -> None:
    pages = "".join(read(page) for page in (site / "reference").glob("cont*.html"))
    assert [name for name in load_bundled_contract(None, list(EXTENSIONS)).operations if name not in pages] == []


def test_members_of_rules_have_meanings(script: ModuleType) -> None:
    rows = [line for line in script.rules.write_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row for row in rows if not row.split(" | ")[-1].strip(" |")] == []


def test_headers_of_the_mock_are_there(site: Path) -> None:
    text = read(site / "reference" / "headers.html").lower()
    named = EXPLANATION.findall((ROOT / "aione_mock" / "server" / "render.py").read_text(encoding="utf-8"))
    assert len(named) >= 7
    assert [name for name in named if name not in text] == []


def test_faults_show_what_they_send(site: Path) -> None:
    text = read(site / "reference" / "scenarios.html")
    html_page = text.partition("X-Mock-Scenario: html_page")[2][:400]
    assert "HTTP/1.1 502" in html_page
    assert "<center>" in html_page
    assert "[nothing more comes; the connection stays open]" in text.partition("X-Mock-Scenario: hang")[2][:100]


def test_what_people_wrote_is_in_both_languages(script: ModuleType) -> None:
    """Measured pages stay in English."""
    measured = ["explanation/proof.md", "reference/awkward-answers.md", "reference/client-faults.md"]
    assert script.list_untranslated() == measured


def test_links_to_generated_pages_lead_to_a_note_in_a_checkout(script: ModuleType) -> None:
    notes = [ROOT / folder / page for folder in ("docs", "docs/zh") for page in script.GENERATED]
    assert [path for path in notes if not path.exists() or "`make docs`" not in path.read_text("utf-8")] == []


def test_no_translation_is_left_without_its_original() -> None:
    docs = ROOT / "docs"
    names = [path.relative_to(docs / "zh") for path in (docs / "zh").rglob("*.md")]
    assert [name for name in names if not (docs / name).exists()] == []


def test_every_page_is_in_the_navigation(script: ModuleType) -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    pages = [*script.GENERATED, *(page for page in pages if not page.startswith("zh/"))]
    assert [page for page in pages if f"- {page}\n" not in navigation] == []


def list_links(site: Path) -> Iterator[tuple[Path, str]]:
    for page in sorted(site.rglob("*.html")):
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            yield page, html.unescape(link)


def test_links_lead_somewhere(site: Path) -> None:
    ids = {page: set(ID.findall(page.read_text(encoding="utf-8"))) for page in site.rglob("*.html")}
    broken = []
    for page, link in list_links(site):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / unquote(path)).resolve() if path else page
        if not target.is_file() or (anchor and target in ids and unquote(anchor) not in ids[target] | {"__top"}):
            broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r'<(?:script|link|img|source|iframe)\b[^>]*(?:src|href|srcset)="(https?:[^"]+)')
    found = {match for page in site.rglob("*.html") for match in loaded.findall(page.read_text(encoding="utf-8"))}
    assert found == set()


def test_the_search_knows_words_of_generated_pages(site: Path) -> None:
    assert "content_length_short" in (site / "search.js").read_text(encoding="utf-8")
    assert "content_length_short" in (site / "zh" / "search.js").read_text(encoding="utf-8")


def test_a_broken_link_stops_the_build(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Title\n\n[lost](nowhere.md)\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: x\n")
    run: subprocess.Popen[str] = script.start_builder(tmp_path)
    output, _ = run.communicate()
    assert run.returncode
    assert "does not exist" in output


def test_language_models_get_a_list_of_all_pages_and_their_text(site: Path) -> None:
    listed = (site / "llms.txt").read_text(encoding="utf-8")
    assert listed.startswith("# aione-mock\n\n> ")
    links = re.findall(r"^- \[([^\]]+)\]\(([^)]+)\)(: .+)?$", listed, re.MULTILINE)
    # copies of files outside docs/ are no pages, nor is an example of a report
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    pages = {name for name in pages if not name.startswith(("zh/", "files/", "schemas/"))}
    pages.discard("example-report/litellm.html")
    assert {link for _, link, _ in links} <= pages
    assert [name for name in pages if f"({name})" not in listed] == []
    assert re.findall(r"^## (.+)$", listed, re.MULTILINE)[:5] == [
        "Start",
        "Tutorials",
        "How-to",
        "Reference",
        "Explanation",
    ]
    assert sum(bool(summary) for *_, summary in links) > len(links) / 2
    full = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert [title for title, *_ in links if f"# {title}" not in full] == []
    assert "createChatCompletion" in full
