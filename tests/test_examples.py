"""Every example runs against the server and prints what it should."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("with_*"))
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PYTHON: dict[str, tuple[str, ...]] = {
    "with_openai.py": ("openai",),
    "with_anthropic.py": ("anthropic",),
    "with_google_genai.py": ("google.genai",),
    "with_langchain.py": ("langchain_openai", "langchain_anthropic", "langchain_google_genai"),
    "with_litellm.py": ("litellm",),
}
CHINESE = range(0x4E00, 0x9FFF)


def command(program: str) -> list[str]:
    """Return how to run an example. Skip the test where its client is missing."""
    if program in PYTHON:
        missing = [name for name in PYTHON[program] if importlib.util.find_spec(name) is None]
        if missing == ["litellm"]:
            pytest.skip("LiteLLM asks for openai < 3 and needs an environment of its own")
        assert not missing, f"the dev extra should have installed {missing}"
        return [sys.executable, program]
    if program.endswith(".mjs"):
        if shutil.which("node") is None:
            pytest.skip("node is not installed")
        if not (EXAMPLES / "node_modules" / "openai").is_dir():
            pytest.skip("`npm install openai` has not been run in examples/")
        return ["node", program]
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    return ["sh", program]


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_example(program: str, session_url: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in PROXIES}
    environment |= {"AIONE_URL": session_url, "NO_PROXY": "127.0.0.1", "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run(
        command(program), cwd=EXAMPLES, env=environment, capture_output=True, timeout=600, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "cat" in run.stdout.lower()
    if program.endswith(".sh"):
        assert "data: [DONE]" in run.stdout
        assert "event: message_stop" in run.stdout
        assert '"usageMetadata"' in run.stdout
    elif program.endswith(".mjs") or "litellm" in program:
        assert "total_tokens" in run.stdout
    else:
        assert "sunny, 23 °C" in run.stdout
    if program not in ("with_curl.sh", "with_langchain.py", "with_litellm.py"):
        assert any(ord(letter) in CHINESE for letter in run.stdout)


def test_every_example_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert len(PROGRAMS) == 7
    for program in PROGRAMS:
        assert f"[{program}]({program})" in listed
