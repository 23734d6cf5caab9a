"""Install and run gateways and mocks by other people, in front of this mock where they pass requests on.

python scripts/gateways.py NAME [FOLDER]     run one until Ctrl-C; FOLDER keeps what is installed
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aione_mock.contract.loading import load_contract
from aione_mock.settings import locate_document
from aione_mock.tenant.organisation_file import list_credentials

KEY = next(credential.secret for credential in list_credentials() if credential.kind == "key")
PLAIN_MODEL, ANTHROPIC_MODEL, GEMINI_MODEL = "gpt-5.2", "claude-sonnet-4-6", "gemini-2.5-flash"
START = 300.0
"""Seconds for a server to start."""


class NotInstalledError(Exception):
    """A package cannot be installed here; `str()` says why."""


@dataclass(frozen=True)
class Place:
    """Where a server runs."""

    folder: Path
    """For its configuration; empty."""
    port: int
    upstream: str
    """URL of the mock behind it."""


@dataclass(frozen=True)
class Gateway:
    """A server by other people, and how to check it."""

    name: str
    ecosystem: str
    """`PyPI` or `npm`."""
    packages: tuple[str, ...]
    """The first one is the gateway; requirements of pip or npm."""
    program: str
    arguments: Callable[[Place], list[str]]
    """Options of the program; writes its configuration."""
    environment: Callable[[Place], Mapping[str, str]] = field(default=lambda place: {})
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `check`, where the gateway has only some protocols."""
    target: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the target, besides the key."""
    headers: Callable[[str], tuple[tuple[str, str], ...]] = field(default=lambda upstream: ())
    """Headers for each request, for the URL of the mock."""


def _write(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def _configure_litellm(place: Place) -> list[str]:
    models = {
        PLAIN_MODEL: {"model": f"openai/{PLAIN_MODEL}", "api_base": f"{place.upstream}/v1"},
        ANTHROPIC_MODEL: {"model": f"anthropic/{ANTHROPIC_MODEL}", "api_base": place.upstream},
        GEMINI_MODEL: {"model": f"gemini/{GEMINI_MODEL}", "api_base": f"{place.upstream}/v1beta/models/{GEMINI_MODEL}"},
    }
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {**params, "api_key": KEY}} for name, params in models.items()
        ],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        "router_settings": {"disable_cooldowns": True},
        "general_settings": {"master_key": KEY},
    }
    path = _write(place.folder / "config.yaml", config)
    return ["--config", path, *_make_listen_options(place), "--telemetry", "False"]


def _configure_mocked_litellm(place: Place) -> list[str]:
    """Configure LiteLLM to answer by itself, with nothing behind it."""
    # nobody listens there, so that what has no mock answer reaches no provider
    answer = {"api_key": "none", "api_base": "http://127.0.0.1:9", "mock_response": "one two three four five six seven"}
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"{provider}/{name}", **answer}}
            for provider, name in (("openai", PLAIN_MODEL), ("anthropic", ANTHROPIC_MODEL))
        ],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": KEY},
    }
    return [
        "--config",
        _write(place.folder / "config.yaml", config),
        *_make_listen_options(place),
        "--telemetry",
        "False",
    ]


def _configure_router(place: Place) -> list[str]:
    provider = {
        "name": "mock",
        "api_base_url": f"{place.upstream}/v1/chat/completions",
        "api_key": KEY,
        "models": [PLAIN_MODEL],
    }
    config = {
        "PORT": place.port,
        "HOST": "127.0.0.1",
        "APIKEY": KEY,
        "LOG": False,
        "Providers": [provider],
        "Router": {"default": f"mock,{PLAIN_MODEL}"},
    }
    _write(place.folder / ".claude-code-router" / "config.json", config)
    return ["start"]


def _configure_fakellm(place: Place) -> list[str]:
    config = {"version": 1, "defaults": {"fallback": "deterministic_echo"}, "rules": []}
    return ["serve", *_make_listen_options(place), "--config", _write(place.folder / "fakellm.yaml", config)]


def _bundle_contract(place: Place) -> str:
    (document,) = load_contract([locate_document("aione.yaml")]).documents.values()
    return _write(place.folder / "contract.json", document)


def _configure_mockoon(place: Place) -> list[str]:
    address = ["--hostname", "127.0.0.1", "--port", str(place.port)]
    return ["start", "--data", _bundle_contract(place), *address, "--disable-log-to-file", "--disable-admin-api"]


def _name_upstream(upstream: str) -> tuple[tuple[str, str], ...]:
    return (("x-portkey-provider", "openai"), ("x-portkey-custom-host", f"{upstream}/v1"))


def _make_listen_options(place: Place) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(place.port)]


LITELLM = Gateway(
    "LiteLLM",
    "PyPI",
    ("litellm[proxy]==1.108.7", "prisma"),  # without prisma, every rejected key is a 500
    "litellm",
    _configure_litellm,
)
MOCKED_LITELLM = replace(LITELLM, name="LiteLLM with mock answers", arguments=_configure_mocked_litellm)
GATEWAYS = (
    LITELLM,
    Gateway(
        "Portkey",
        "npm",
        ("@portkey-ai/gateway",),
        "gateway",
        lambda place: [f"--port={place.port}", "--headless"],
        target={"model": PLAIN_MODEL},
        headers=_name_upstream,
        options={"skip": ("Gemini",)},
    ),
    Gateway(
        "claude-code-router",
        "npm",
        ("@musistudio/claude-code-router@2.0.0",),  # a package that 3 needs is not in the registry
        "ccr",
        _configure_router,
        target={"model": PLAIN_MODEL},
        options={"only": ("Anthropic",)},
    ),
    Gateway(
        "fakellm",
        "PyPI",
        ("fakellm",),
        "fakellm",
        _configure_fakellm,
        target={"model": PLAIN_MODEL},
        options={"only": ("OpenAI", "Anthropic")},
    ),
    Gateway("stubllm", "PyPI", ("stubllm",), "stubllm", lambda place: ["serve", *_make_listen_options(place)]),
    Gateway("llmock", "PyPI", ("llmock",), "llmock", lambda place: ["serve", *_make_listen_options(place)]),
    Gateway(
        "aimock",
        "npm",
        ("@copilotkit/aimock",),
        "llmock",
        lambda place: [
            *_make_listen_options(place),
            "--fixtures",
            _write(place.folder / "fixtures.json", _AIMOCK_FIXTURES),
        ],
    ),
    Gateway(
        "Prism",
        "npm",
        ("@stoplight/prism-cli",),
        "prism",
        lambda place: ["mock", *_make_listen_options(place), _bundle_contract(place)],
    ),
    Gateway("Mockoon", "npm", ("@mockoon/cli",), "mockoon-cli", _configure_mockoon),
)
_AIMOCK_FIXTURES = {"fixtures": [{"match": {}, "response": {"content": "one two three four five six seven"}}]}


def install(gateway: Gateway, folder: Path) -> str:
    """Install a gateway into a folder, unless it is there; return its version. Raises NotInstalledError."""
    if gateway.ecosystem == "PyPI":
        return install_from_pypi(gateway.packages, folder)
    return _install_from_npm(gateway, folder)


def install_from_pypi(packages: Sequence[str], folder: Path) -> str:
    """Install packages into an environment of their own, unless it is there; return the version of the first."""
    python = folder / "bin" / "python"
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else "uv"
    if not python.exists():
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), *packages])
    name = packages[0].partition("[")[0].partition("=")[0]
    return _run([str(python), "-c", f"import importlib.metadata as m; print(m.version({name!r}))"]).strip()


def _install_from_npm(gateway: Gateway, folder: Path) -> str:
    if shutil.which("npm") is None:
        raise NotInstalledError("npm is missing")
    name = re.sub(r"(?<=.)@.*", "", gateway.packages[0])
    package = folder / "node_modules" / name / "package.json"
    if not package.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "package.json", {"name": "gateway", "private": True})
        _run(["npm", "install", "--silent", *gateway.packages], cwd=folder)
    version: str = json.loads(package.read_text(encoding="utf-8"))["version"]
    return version


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=600).stdout
    except (OSError, subprocess.SubprocessError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise NotInstalledError(lines[-1] if lines else type(error).__name__) from None


@contextmanager
def run_gateway(gateway: Gateway, folder: Path, upstream: str) -> Iterator[str]:
    """Run an installed gateway in front of a mock; yield its URL."""
    bins = folder / "bin" if gateway.ecosystem == "PyPI" else folder / "node_modules" / ".bin"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        place = Place(Path(home), port, upstream)
        process = subprocess.Popen(
            [str(bins.absolute() / gateway.program), *gateway.arguments(place)],
            cwd=home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": home,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                **gateway.environment(place),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_for_answer(f"http://127.0.0.1:{port}/v1/models", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers something."""
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.3)
    raise NotInstalledError("it does not start")


def main() -> int:
    """Run a gateway until Ctrl-C."""
    from aione_mock.server.app import create_app
    from aione_mock.server.http import Server
    from aione_mock.settings import Settings

    gateway = next(gateway for gateway in GATEWAYS if gateway.name == sys.argv[1])
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else f"{gateway.name}-installed")
    print(gateway.name, install(gateway, folder), flush=True)
    with Server(create_app(Settings())) as server, run_gateway(gateway, folder, server.url) as url:
        print(url, flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    raise SystemExit(main())
