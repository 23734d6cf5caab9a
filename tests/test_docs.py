"""What the documents say is so: commands exist, samples run, links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import typer
import yaml
from starlette.testclient import TestClient

from aione_mock.cli import create_program, main
from aione_mock.cli.schemas import SchemaName, make_schema
from aione_mock.contract import Contract
from aione_mock.contract.loading import load_contract
from aione_mock.contract.overlay import apply_overlay
from aione_mock.model import prompt_cache, structured, tokens
from aione_mock.server.http import Server
from aione_mock.settings import DOCUMENTS, locate_document
from aione_mock.tenant.organisation_file import list_credentials

ROOT = Path(__file__).parent.parent
GUIDES = tuple(sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
READMES = ("README.md", "README.zh-CN.md")
PAGES = (*READMES, "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", *GUIDES)
DEFAULT_URL = "http://127.0.0.1:8000"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INVOCATION = re.compile(r"(?:^|[`(]|[$-] )aione-mock(?! is )((?: [\w./:-]+)+)", re.MULTILINE | re.ASCII)
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


@pytest.mark.parametrize("code", [code for name in READMES for code in blocks("python", name)])
def test_python_samples_run(code: str, server: Server) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace(DEFAULT_URL, server.url), {})
    assert len(printed.getvalue().strip()) > 10


def curls() -> list[str]:
    """Every line of a block in a shell's language that calls curl."""
    pages = [name for name in PAGES if "tutorials" not in name]  # whose commands are run in order
    texts = [code for name in pages for language in ("sh", "console") for code in blocks(language, name)]
    lines = "\n".join(texts).replace("\\\n", " ").splitlines()
    return sorted({" ".join(line.split()) for line in lines if line.startswith("curl ")})


@pytest.mark.parametrize("line", curls())
def test_curl_samples_run(line: str, server: Server, tmp_path: Path) -> None:
    near = line.replace(DEFAULT_URL, server.url).replace("localhost:8000", f"127.0.0.1:{server.port}")
    near = near.replace("/_mock/", "/_session/curl/_mock/") if "_session" not in near else near
    status = ["-s", "--max-time", "20", "-o", "answer", "-w", "%{http_code}"]
    command = [word for word in shlex.split(near.partition("||")[0]) if not word.startswith(("-OJ", "-sN"))]
    done = subprocess.run([*command, *status], cwd=tmp_path, capture_output=True, text=True)
    wanted = "429" if "-Scenario: rate_limit" in line else "401" if "Bearer wrong" in line else "20"
    assert done.stdout.startswith(wanted), (tmp_path / "answer").read_text()


def keys_of_the_guide() -> list[tuple[str, str]]:
    rows = re.findall(
        r"^\| `((?:sk-nex|nex-console)-[\w-]+)` \| (.*?) \|$", page("docs/how-to/faults.md"), re.MULTILINE
    )
    assert len(rows) >= 10
    return rows


@pytest.mark.parametrize(("secret", "effect"), keys_of_the_guide())
def test_keys_do_what_the_guide_says(secret: str, effect: str, session_url: str) -> None:
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
    (sample,) = blocks("yaml", "docs/how-to/overlays.md")
    documents = {name: json.loads(json.dumps(body)) for name, body in contract().documents.items()}
    assert not apply_overlay(documents, yaml.load(sample, Loader=yaml.CSafeLoader), "overlays.md")[1]
    before, after = (page_size(made) for made in (contract(), Contract(documents)))
    assert before.is_valid(51)
    assert after.is_valid(50)
    assert not after.is_valid(51)


def page_size(made: Contract) -> Any:
    parameters = made.operations["listInvoices"].parameters
    return next(parameter.validator for parameter in parameters if parameter.name == "page_size")


def contract() -> Contract:
    return load_contract([locate_document(name) for name in DOCUMENTS])


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
    """Return whether a link leads to a file, or to a schema, beside which its command stands."""
    path = page.parent / target
    made = path.parent.name == "schemas" and path.suffix == ".json"
    translated = Path(str(path).replace("/docs/zh/", "/docs/"))
    return path.exists() or translated.exists() or made  # the links of the built site are checked too


def test_the_rules_for_contributors_are_short() -> None:
    assert len(page("CONTRIBUTING.md").splitlines()) <= 40


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
    """Return what the repository consists of, caches and the like left out."""
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


def python_of_guides() -> list[str]:
    return [code for name in GUIDES for language in ("py", "python") for code in blocks(language, name)]


@pytest.mark.parametrize("code", python_of_guides(), ids=lambda code: code.split("\n")[0])
def test_python_in_guides_is_python(code: str) -> None:
    compile(code, "guide", "exec")


def test_the_sample_of_an_application_runs() -> None:
    (code,) = blocks("python", "docs/how-to/configuration.md")  # the Chinese page has the same
    found: dict[str, Any] = {}
    exec(code, found)
    with TestClient(found["app"]) as client:
        assert client.get("/gateway/hello").text == "hello"
        assert (
            client.get("/gateway/v1/models", headers={"authorization": "Bearer sk-nex-demo-every-model"}).status_code
            == 200
        )


def yaml_of_guides() -> list[tuple[str, str]]:
    return [(name, code) for name in GUIDES for code in blocks("yaml", name)]


@pytest.mark.parametrize(("name", "code"), yaml_of_guides())
def test_yaml_in_guides_is_valid(name: str, code: str) -> None:
    document = yaml.load(code.replace(": …", ": x"), Loader=yaml.CSafeLoader)
    if not isinstance(document, dict):
        return
    kinds: dict[SchemaName, bool] = {
        "scenarios": set(document) == {"rules"},
        "overlay": "overlay" in document,
        "configuration": bool({"models", "world"} & set(document)),
    }
    for kind in [kind for kind, applies in kinds.items() if applies]:
        problems = jsonschema_rs.validator_for(make_schema(kind)).iter_errors(document)
        assert [problem.message for problem in problems] == [], name


def count_words(text: str) -> Iterator[tuple[int, str]]:
    """Return the words of each sentence of a page, without code, tables and headings."""
    prose = re.sub(r"^```.*?^```$|^[|#<][^\n]*$", ".", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"\]\([^)]*\)|`[^`]*`", " x", prose)
    for sentence in re.split(r"[.?!:](?=\s)|\n\s*\n|^- ", prose, flags=re.MULTILINE):
        yield len(sentence.split()), sentence


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", *(name for name in GUIDES if "docs/tutorials" in name)])
def test_sentences_are_short(name: str) -> None:
    assert [sentence for words, sentence in count_words(page(name)) if words > 35] == []


HARD = (
    "has a key in every condition",
    "functions of the seed",
    "how to mend it",
    "damage an answer on the wire",
    "tells in headers",
    "as the contract says",
    "what the contract says",
    "has against it",
    "recorded and told",
    "come when they came",
    "that none of them is for",
    "what is against each",
    "right but awkward",
    "stands what to change",
    "only assumed fail too",
    "program a client",
    "nothing until a fixture",
    "wiring of your own",
    "first of these that applies",
    "the first, of equals",
    "of equals, the first",
    "calls the tool of its operation",
    "lands in the parameters",
    "Pictures made show",
    "is meant, and what is reached",
    "as its neighbours let it",
    "differ, there as in many",
    "does not hang on",
    "got quicker when",
    "keys through their life",
    "Ends in time",
    "that the two are apart",
    "as paths do that nobody knows",
    "is told, so that it can",
    "how a no is spelled",
    "mends format",
    "noun of the field",
    "the laws' places",
    "think of --control-token",
    "no recording is of this request",
)
"""From sentences that readers did not understand."""


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_sentence_that_was_hard_to_read(name: str) -> None:
    text = " ".join(page(name).split())
    assert [words for words in HARD if words in text] == []


def read_outline(name: str) -> tuple[int, list[str]]:
    """Return the number of headings of a page, and its commands without comments."""
    text = page(name)
    lines = [line.partition("  #")[0].strip() for code in blocks("sh", name) for line in code.splitlines()]
    return len(re.findall(r"^#+ ", FENCE.sub("", text), re.MULTILINE)), [
        line for line in lines if "messages" not in line
    ]


def test_the_chinese_readme_has_the_same_headings_and_commands() -> None:
    assert read_outline("README.zh-CN.md") == read_outline("README.md")
    assert len(page("README.md").splitlines()) <= 120


def test_the_readmes_say_how_many_laws_a_check_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list"]) == 0
    count = sum(line.startswith("law:") for line in capsys.readouterr().out.splitlines())
    assert f"# {count} laws, " in page("README.md")
    assert f"# {count} 条定律" in page("README.zh-CN.md")


def list_deviations() -> list[tuple[str, str]]:
    """Requests in the page on deviations, and the statuses that it names."""
    return re.findall(r"^\| [\w ]+ \| `([^`]+)` \| (\d{3})", page("docs/deviations.md"), re.MULTILINE)


@pytest.mark.parametrize(("request_line", "status"), list_deviations())
def test_what_is_not_there_is_not_there(request_line: str, status: str, server: Server) -> None:
    method, path = request_line.split()
    headers = {"authorization": "Bearer sk-nex-demo-every-model"}
    answer = httpx2.request(method, server.url + path, headers=headers, json={} if method == "POST" else None)
    assert answer.status_code == int(status), answer.text


def test_what_has_no_effect_has_none(session_url: str) -> None:
    question = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Why do cats purr?"}]}
    ignored = {"temperature": 1.9, "top_p": 0.1, "presence_penalty": 1, "frequency_penalty": 1}
    ignored |= {"logit_bias": {"50256": -100}, "store": True, "metadata": {"a": "b"}, "web_search_options": {}}
    headers = {"authorization": "Bearer sk-nex-demo-every-model"}
    url = f"{session_url}/v1/chat/completions"
    answers = [httpx2.post(url, headers=headers, json=body).json() for body in (question, {**question, **ignored})]
    first, second = (answer["choices"][0]["message"]["content"] for answer in answers)
    assert first == second
    text = page("docs/deviations.md")
    assert [name for name in ignored if f"`{name}`" not in text] == []


AVOIDED = re.compile(
    r"\b(mends?|for ever(?!y)|is told|are told|stands? in the|tells so|whilst|shall|utilize|organizations?)\b"
)
"""Words that this project does not use on pages."""
ENGLISH = ["README.md", *(name for name in GUIDES if "/zh/" not in name and "proof" not in name)]


@pytest.mark.parametrize("name", ENGLISH)
def test_pages_avoid_words(name: str) -> None:
    assert AVOIDED.findall(" ".join(page(name).split())) == []


def test_proselint_has_no_complaint(tmp_path: Path) -> None:
    for name in ENGLISH:
        # headings may be repeated by the sentence below them, and tables and code are no prose
        prose = re.sub(r"^```.*?^```$|^[|#<][^\n]*$", "", page(name), flags=re.MULTILINE | re.DOTALL)
        (tmp_path / name.replace("/", "-")).write_text(re.sub(r"`[^`]*`|~[\w/~]+", "code", prose), encoding="utf-8")
    (tmp_path / "wrong.md").write_text("It is very unique.")
    command = [sys.executable, "-m", "proselint", "check", "--config", str(ROOT / "tests" / "data" / "proselint.json")]
    done = subprocess.run([*command, *sorted(tmp_path.glob("*.md"))], capture_output=True, text=True)
    found = [line for line in (done.stdout + done.stderr).splitlines() if ".md:" in line]
    assert any("wrong.md" in line for line in found)
    assert [line for line in found if "wrong.md" not in line] == []
