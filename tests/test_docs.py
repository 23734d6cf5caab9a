"""What the documents say is so: commands exist, samples run, links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
import yaml

from aione_mock.cli import create_program
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.contract.overlay import apply_overlay
from aione_mock.model import prompt_cache, structured, tokens
from aione_mock.server.http import Server
from aione_mock.settings import DOCUMENTS, document_path
from aione_mock.tenant.organisation_file import list_credentials

ROOT = Path(__file__).parent.parent
GUIDES = tuple(sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", *GUIDES)
DEFAULT_URL = "http://127.0.0.1:8000"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INVOCATION = re.compile(r"(?:^|[`(]|[$-] )aione-mock(?! is )((?: [\w./:-]+)+)", re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|root|home|Users)/\w")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language: str, name: str = "README.md") -> list[str]:
    return [code for found, code in FENCE.findall(page(name)) if found == language]


def invocations() -> list[str]:
    """Every `aione-mock …` in the pages that has a command."""
    found = [match.strip(" :") for name in PAGES for match in INVOCATION.findall(page(name))]
    return sorted({words for words in found if not words.startswith("-")})


@pytest.mark.parametrize("words", invocations())
def test_commands_and_options_exist(words: str) -> None:
    command: Any = typer.main.get_command(create_program())
    path, options = "aione-mock", set()
    for word in words.partition(" -- ")[0].split():
        if word.startswith("--"):
            options.add(word)
        elif hasattr(command, "commands") and not options:
            assert word in command.commands, f"{path} has no command {word}"
            command, path = command.commands[word], f"{path} {word}"
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert options <= known | {"--help"}


def test_the_pages_do_name_commands() -> None:
    assert {words.split()[0] for words in invocations()} == set(typer.main.get_command(create_program()).commands)


def test_make_targets_exist() -> None:
    makefile = page("Makefile")
    targets = {target for name in PAGES for target in re.findall(r"\bmake (\w+)(?= |`|$)", page(name), re.MULTILINE)}
    assert {"run", "test"} <= targets
    assert [target for target in targets & {"run", "test", "check", "fmt"} if f"\n{target}:" not in makefile] == []


def test_the_two_commands_come_first() -> None:
    assert blocks("sh")[0].splitlines()[0].startswith("make run")
    assert blocks("sh")[0].splitlines()[1].startswith("make test")
    paragraphs = page("README.md").split("\n\n")
    assert paragraphs[2].startswith("It is not ")


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.split()[1])
def test_python_samples_run(code: str, server: Server) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace(DEFAULT_URL, server.url), {})
    assert len(printed.getvalue().strip()) > 10


def curls() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("curl ")]


@pytest.mark.parametrize("curl", curls(), ids=lambda curl: curl[1])
def test_curl_samples_run(curl: list[str], server: Server) -> None:
    headers = dict(value.split(": ", 1) for flag, value in itertools.pairwise(curl) if flag == "-H")
    answer = httpx2.post(curl[1].replace(DEFAULT_URL, server.url), headers=headers, content=curl[curl.index("-d") + 1])
    assert answer.status_code == (429 if "rate_limit" in headers.get("X-Mock-Scenario", "") else 200), answer.text


def keys_of_the_readme() -> list[tuple[str, str]]:
    rows = re.findall(r"^\| `((?:sk-nex|nex-console)-[\w-]+)` \| (.*?) \|$", page("README.md"), re.MULTILINE)
    assert len(rows) >= 10
    return rows


@pytest.mark.parametrize(("secret", "effect"), keys_of_the_readme())
def test_keys_do_what_the_readme_says(secret: str, effect: str, session_url: str) -> None:
    seeded = {credential.secret for credential in list_credentials()}
    assert secret in seeded
    headers = {"Authorization": f"Bearer {secret}"}
    if secret.startswith("nex-console"):
        assert httpx2.get(f"{session_url}/api/v1/billing/plan", headers=headers).status_code == 200
        return
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
    url = f"{session_url}/v1/chat/completions"
    statuses = [httpx2.post(url, headers=headers, json=body).status_code for _ in range(3)]
    said = re.match(r"\d{3}", effect)
    assert statuses[-1] == (int(said[0]) if said else 200)
    if "third" in effect:
        assert statuses[:2] == [200, 200]


def test_the_sample_overlay_works() -> None:
    (sample,) = blocks("yaml")
    documents = {name: json.loads(json.dumps(body)) for name, body in contract().documents.items()}
    assert not apply_overlay(documents, yaml.load(sample, Loader=yaml.CSafeLoader), "README.md")[1]
    before, after = (page_size(made) for made in (contract(), Contract(documents)))
    assert before.is_valid(51)
    assert after.is_valid(50)
    assert not after.is_valid(51)


def page_size(made: Contract) -> Any:
    parameters = made.operations["listInvoices"].parameters
    return next(parameter.validator for parameter in parameters if parameter.name == "page_size")


def contract() -> Contract:
    return load_contract([document_path(name) for name in DOCUMENTS])


def test_the_page_of_answers_has_the_figures_and_keywords_there_are() -> None:
    text = page("docs/explanation/what-it-says.md")
    listed = text.partition("names it and where it stands")[2].partition("Gemini's own spelling")[0]
    assert set(re.findall(r"`([$\w]+)`", listed)) == structured.SUPPORTED_KEYWORDS
    assert f"at least {prompt_cache.MINIMUM:,} tokens" in text
    assert f"within {prompt_cache.LIFETIME:.0f} seconds" in text
    assert f"a message costs {tokens.MESSAGE_OVERHEAD} beyond its text, a prompt {tokens.REPLY_PRIMING}" in text


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page(name))
    near = [target for target in targets if not target.startswith("https://")]
    assert [target for target in near if not is_found(ROOT / name, target)] == []


def is_found(page: Path, target: str) -> bool:
    """Whether a link leads to a file, or to a page that is made from the code."""
    path = page.parent / target
    made = path.parent.name in ("reference", "schemas") and path.suffix in (".md", ".json")
    return path.exists() or made  # the links of the built site are checked too


def test_architecture_is_short_and_names_what_there_is() -> None:
    text = page("ARCHITECTURE.md")
    assert len(text.splitlines()) <= 60
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    package = ROOT / "aione_mock"
    modules = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    assert named == modules - {"__init__", "__main__"}


def texts() -> Iterator[Path]:
    """What the repository consists of, caches and the like left out."""
    for folder in ("aione_mock", "docs", "examples", "fixtures", "openapi", "scripts", "tests", ".ci"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not {".cache", "__pycache__"} & set(path.parts):
                yield path
    yield from (path for path in ROOT.glob("*") if path.is_file() and not path.name.startswith("."))


def test_no_text_names_a_place_on_some_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts()
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_a_machine_path_would_be_found() -> None:
    assert MACHINE_PATH.search("see /" + "home/somebody/project")
    assert not MACHINE_PATH.search("GET /api/v1/" + "work/items, https://x.test/home/page")


def test_make_help_lists_every_target() -> None:
    command = ["make", "--no-print-directory", "help"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", page("Makefile"), re.MULTILINE)
    assert targets is not None
    assert {line.split()[0] for line in listed.splitlines()} == set(targets[1].split())


def test_forms_for_issues_ask_for_something() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "labels"} <= form.keys()
            assert any(part.get("validations", {}).get("required") for part in form["body"]), path.name
