"""A gateway by other people is installed and checked: what works there is kept, what it lacks is found."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from aione_mock.checker import Target, check
from aione_mock.checker.report import EXIT_FOUND
from aione_mock.cli import main
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example-report" / "litellm.json"
Import = Callable[[str], ModuleType]


@pytest.fixture
def load_script(monkeypatch: pytest.MonkeyPatch) -> Import:
    """Import scripts as they import each other."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("installed") / "litellm"


@pytest.fixture
def installed(load_script: Import, folder: Path) -> Path:
    """The folder of LiteLLM, installed once."""
    gateways = load_script("gateways")
    try:
        gateways.install(gateways.LITELLM, folder)
    except gateways.NotInstalledError as error:
        pytest.skip(f"LiteLLM cannot be installed here: {error}")
    return folder


@pytest.mark.slow
def test_litellm_in_front_of_the_mock(load_script: Import, installed: Path) -> None:
    gateways = load_script("gateways")
    with (
        Server(create_app(Settings())) as server,
        gateways.run_gateway(gateways.LITELLM, installed, server.url) as url,
    ):
        only = ("createChatCompletion", "listModels", "listGeminiModels")
        report = check(Target(url, key=gateways.KEY), only=only, phases=(), spend_limit="100")
    assert not report.could_not
    assert report.exit_code == EXIT_FOUND
    missing = {finding.operation for finding in report.findings if finding.law == "operation-served"}
    assert missing == {"listGeminiModels"}
    assert report.matrix["usage-sums"]["createChatCompletion"].state == "kept"


@pytest.mark.slow
def test_litellm_brings_answers_back_to_who_asked(
    load_script: Import, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration is the one in the documentation."""
    gateways = load_script("gateways")
    page = (ROOT / "docs" / "how-to" / "behind-your-gateway.md").read_text(encoding="utf-8")
    written = page.split("```yaml\n")[1].split("```")[0]

    def configure(place: Any) -> list[str]:
        path = place.folder / "litellm.yaml"
        path.write_text(written.replace("http://127.0.0.1:8001", place.upstream), encoding="utf-8")
        return ["--config", str(path), "--host", "127.0.0.1", "--port", str(place.port)]

    litellm = replace(gateways.LITELLM, arguments=configure)
    with (
        Server(create_app(Settings(as_upstream=True, pace="pace; ttft=0.05; tps=400"))) as server,
        gateways.run_gateway(litellm, installed, server.url) as url,
    ):
        asked = ["--url", url, "--upstream", server.url, "--key", "sk-my-litellm", "--model", "gpt-5.4"]
        code = main(["canaries", *asked, "--protocol", "openai", "--calls", "40", "--concurrency", "8"])
    told = capsys.readouterr()
    assert code == 0, told.out + told.err
    assert told.out.splitlines()[1].split()[:2] == ["right", "40"]


@pytest.mark.slow
def test_litellm_is_found_as_the_example_report_says(load_script: Import, installed: Path) -> None:
    report = load_script("check_litellm").run(installed, phases=(), only=("OpenAI", "Anthropic"))
    found = {finding.fingerprint for finding in report.findings}
    assert not report.could_not
    assert not report.stopped
    assert len(found) > 10
    example = orjson.loads(EXAMPLE.read_bytes())
    assert found <= {finding["fingerprint"] for cause in example["causes"] for finding in cause["findings"]}
