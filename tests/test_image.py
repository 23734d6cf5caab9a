"""The image without a registry: its steps in folders of this machine, and its process in namespaces of its own.

What the steps run is read from the Dockerfile. The folders of the image are replaced by temporary ones. The process is
the first one of its namespace, has another user, and sees a root that cannot be written to, as in a container.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.test_packaging import ROOT
from tests.timing import PATIENCE

CHAT = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
BIN = Path(sys.executable).parent
NOBODY = 65534
INSTRUCTION = re.compile(r"^([A-Z]+) ((?:.*\\\n)*.*)$", re.MULTILINE)
ISOLATE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def read_stages() -> list[list[tuple[str, str]]]:
    """Return instruction and argument, in one line, of each stage of the Dockerfile."""
    text = "".join(line for line in (ROOT / "Dockerfile").read_text().splitlines(True) if not line.startswith("#"))
    stages: list[list[tuple[str, str]]] = []
    for name, argument in INSTRUCTION.findall(text):
        stages += [[]] if name == "FROM" else []
        if stages:
            stages[-1].append((name, re.sub(r"\s*\\\n\s*", " ", argument)))
    return stages


def find(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [argument for found, argument in stage if found == name]


def read_environment() -> dict[str, str]:
    (variables,) = find(read_stages()[-1], "ENV")
    return dict(part.split("=", 1) for part in variables.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the image has in /opt, installed by the steps of the Dockerfile."""
    # users other than this one cannot enter pytest's folders
    home = Path("/var/tmp") / f"aione-mock-image-{os.getpid()}"
    home.mkdir(mode=0o755)
    try:
        tracked = subprocess.check_output(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], text=True)
        ignored = (ROOT / ".dockerignore").read_text().split()
        for name in tracked.splitlines():
            if (ROOT / name).is_file() and name.partition("/")[0] not in ignored:
                (home / "src" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, home / "src" / name)
        # the page takes minutes to build where npm has nothing cached; other tests build it
        shutil.copytree(ROOT / "web" / "dist", home / "src" / "web" / "dist")
        subprocess.run([sys.executable, "-m", "venv", home / "tools"], check=True)
        for stage in read_stages()[:-1]:
            for script in find(stage, "RUN"):
                run_step(script, home)
        yield home
    finally:
        shutil.rmtree(home)


def run_step(script: str, home: Path) -> None:
    for name in ("/src", "/dist", "/opt/"):
        script = re.sub(rf"(?<![\w.]){name}", f"{home}{name}", script)
    environment = {"PATH": f"{home / 'tools' / 'bin'}:{os.environ['PATH']}", "HOME": str(home)}
    passed = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "NPM_"))}
    done = subprocess.run(
        ["sh", "-ec", script], cwd=home / "src", env=passed | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout


@contextmanager
def run_image(folder: Path, *arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the image's command; yield the process outside its namespace, and the URL."""
    if os.geteuid() != 0 or subprocess.run([*ISOLATE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make namespaces")
    (entry,) = map(json.loads, find(read_stages()[-1], "ENTRYPOINT"))
    own = {name: value.replace("/opt/", f"{folder}/opt/") for name, value in read_environment().items()}
    own |= {"PATH": own["PATH"].replace("$PATH", os.defpath), "AIONE_MOCK_PORT": "0"}
    drop = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs --inh-caps=-all"
    isolated = 'mount -o remount,ro,bind / && cd / && exec "$0" "$@"'
    command = [*ISOLATE, "sh", "-ec", isolated, *drop.split(), *entry, *arguments]
    process = subprocess.Popen(
        command, env=own | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if url := re.search(r"http://[\d.]+:\d+", line):
                yield process, url[0]
                return
        pytest.fail("".join(lines))
    finally:
        # the end of unshare does not end a process that has another user
        with suppress(IndexError, OSError):
            os.kill(find_first_process(process.pid), signal.SIGKILL)
        process.kill()
        process.communicate()


def find_first_process(outer: int) -> int:
    """Return the id, outside, of the first process of a namespace."""
    return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])


@pytest.mark.slow
def test_it_serves_as_somebody_else_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    (arguments,) = map(json.loads, find(read_stages()[-1], "CMD")[-1:])
    with run_image(folder, *arguments) as (process, url):
        first = find_first_process(process.pid)
        status = Path(f"/proc/{first}/status").read_text()
        assert re.search(rf"^Uid:\t{NOBODY}\t{NOBODY}", status, re.MULTILINE)
        assert re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE)
        headers = {"authorization": "Bearer sk-nex-demo-every-model"}
        assert httpx2.post(f"{url}/v1/chat/completions", json=CHAT, headers=headers).status_code == 200
        page = httpx2.get(url, headers={"accept": "text/html"}, follow_redirects=True)
        assert page.url.path == "/_mock/ui/"
        assert httpx2.get(f"{url}/_mock/scenarios").status_code == 200
    assert sorted(folder.rglob("*")) == before


@pytest.mark.slow
def test_it_ends_at_the_first_signal(folder: Path) -> None:
    with run_image(folder, "serve") as (process, url):
        assert httpx2.get(f"{url}/_mock/ready").status_code == 200
        started = time.monotonic()
        os.kill(find_first_process(process.pid), signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        # Docker kills after ten seconds
        assert time.monotonic() - started < 8


def run_health_check(folder: Path, port: int) -> int:
    (check,) = find(read_stages()[-1], "HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command[0] == "python"
    python = folder / "opt" / "aione-mock" / "bin" / "python"
    environment = {"AIONE_MOCK_PORT": str(port), "PATH": os.defpath}
    return subprocess.run([python, *command[1:]], env=environment, capture_output=True, check=False).returncode


@pytest.mark.slow
def test_the_health_check_needs_no_other_program(folder: Path) -> None:
    with run_image(folder, "serve") as (_, url):
        assert run_health_check(folder, httpx2.URL(url).port or 0) == 0
    assert run_health_check(folder, 9) == 1
    with run_image(folder, "serve", "--no-control") as (_, url):
        assert run_health_check(folder, httpx2.URL(url).port or 0) == 0


@pytest.mark.slow
def test_a_control_token_still_counts(folder: Path) -> None:
    with run_image(folder, "serve", AIONE_MOCK_CONTROL_TOKEN="a word of ours") as (_, url):
        assert httpx2.get(f"{url}/_mock/scenarios").status_code == 401


@pytest.mark.slow
def test_everything_is_compiled_and_the_extras_are_there(folder: Path) -> None:
    (packages,) = (folder / "opt" / "aione-mock").glob("lib/python*/site-packages")
    sources = {path for path in packages.rglob("*.py") if "lib2to3" not in path.parts}
    compiled = {path.parents[1] / f"{path.name.partition('.')[0]}.py" for path in packages.rglob("__pycache__/*.pyc")}
    assert (packages / "aione_mock" / "server" / "app.py") in compiled
    assert len(sources - compiled) < len(sources) / 50  # some packages have files for other versions
    assert {"mcp", "opentelemetry", "redis", "trustme", "prometheus_client"} <= {
        path.name for path in packages.iterdir()
    }
    assert not (packages / "pip").exists()
    assert list((packages / "aione_mock" / "openapi" / ".cache").glob("*.json"))


def test_the_image_names_what_a_wheel_needs() -> None:
    last = read_stages()[-1]
    assert find(last, "USER") == ["10001:10001"]
    assert find(last, "EXPOSE") == [read_environment()["AIONE_MOCK_PORT"]]
    labels = " ".join(find(last, "LABEL"))
    for name in ("title", "description", "source", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_nothing_of_the_wheel_is_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith(("#", "**"))]
    assert not {"aione_mock", "openapi", "fixtures", "docs", "scripts", "web", "pyproject.toml"} & set(ignored)


def test_linters_are_content() -> None:
    done = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    worse = (ROOT / "Dockerfile").read_text().replace("WORKDIR /config", "WORKDIR config")
    bad = subprocess.run([BIN / "hadolint", "-"], input=worse, capture_output=True, text=True, check=False)
    assert bad.returncode == 1


def test_compose_uses_the_image_as_it_is_meant() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name in ("mock", "shared-1", "shared-2"):
        service = services[name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") and port.endswith(":8000") for port in service["ports"])
        variables = [variable for variable in service["environment"] if variable.startswith("AIONE_MOCK_")]
        assert variables
    assert services["shared-2"]["environment"]["AIONE_MOCK_STORE"].startswith("redis://store:")
