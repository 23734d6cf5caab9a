"""The package as users get it: a wheel, and an editable install, each in an empty environment elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from aione_mock.settings import EXTENSIONS, VERSION

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
PAGE_SOURCES = ("web/package.json", "web/package-lock.json")
CHAT = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}

pytestmark = pytest.mark.slow


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module", params=["wheel", "editable"])
def commands(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of a fresh environment lie."""
    environment = tmp_path_factory.mktemp(request.param) / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, environment)
    what = [wheel] if request.param == "wheel" else ["--editable", ROOT]
    run(UV, "pip", "install", "--quiet", "--python", environment / "bin" / "python", *what)
    return environment / "bin"


@pytest.fixture(scope="module")
def url(commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server started in an empty folder, with an environment that names nothing of the checkout."""
    process = subprocess.Popen(
        [commands / "aione-mock", "serve", "--port", "0"],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={"PATH": os.defpath},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    try:
        yield next((word for word in first.split() if word.startswith("http://")), first)
    finally:
        process.kill()
        process.communicate()


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("aione_mock*")}


def test_it_is_the_same_whenever_and_wherever_it_is_built(dist: Path, tmp_path: Path) -> None:
    tracked = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    built = [str(path.relative_to(ROOT)) for path in (ROOT / "web" / "dist").glob("*")]
    for name in sorted(name for name in {*tracked, *built} if (ROOT / name).is_file()):
        path = tmp_path / "elsewhere" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, path)
        os.utime(path, (1_900_000_000, 1_900_000_000))
        path.chmod(0o600 | (ROOT / name).stat().st_mode & 0o100)
    run(UV, "build", "--quiet", "--out-dir", tmp_path / "again", tmp_path / "elsewhere")
    assert len(digest(dist)) == 2
    assert digest(dist) == digest(tmp_path / "again")


def test_an_index_would_take_it_and_show_its_readme(dist: Path, wheel: Path) -> None:
    twine = subprocess.run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *sorted(dist.glob("aione_mock*"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert twine.returncode == 0, twine.stdout
    assert twine.stdout.count("PASSED") == 2
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        fields, _, readme = archive.read(name).decode().partition("\n\n")
    for wanted in ("Project-URL: Changelog, https://", "Classifier: Framework :: Pytest", "Provides-Extra: mcp"):
        assert wanted in fields
    links = re.findall(r'\]\(([^)#]+)|src(?:set)?="([^"]+)"', readme)
    assert len(links) > 10
    assert [link for pair in links if not (link := "".join(pair)).startswith("https://")] == []
    assert f"/v{VERSION}/" in readme


def test_it_starts_without_being_installed(wheel: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    words = [UV, "tool", "run", "--quiet", "--python", sys.executable, "--from", wheel, "aione-mock", "--version"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, f"aione-mock {VERSION}\n"), done.stderr


def find_interpreter(version: str) -> str | None:
    """Return a Python of this version: one of the path that works, or one of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in (shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))):
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(path)
    return None


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_it_works_with_newer_pythons(version: str, wheel: Path, tmp_path: Path) -> None:
    if (interpreter := find_interpreter(version)) is None:
        pytest.skip(f"there is no Python {version} here")
    run(UV, "venv", "--quiet", "--python", interpreter, tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", python, wheel)
    program = (
        "import sys, httpx2; from aione_mock import mock_server\n"
        "with mock_server() as mock:\n"
        "    mock.reply('Hello')\n"
        "    headers = {'Authorization': f'Bearer {mock.api_key}'}\n"
        f"    answer = httpx2.post(mock.base_url + '/v1/chat/completions', headers=headers, json={CHAT})\n"
        "    mock.assert_called(times=1)\n"
        "print(sys.version.split()[0], answer.json()['choices'][0]['message']['content'])"
    )
    assert re.fullmatch(rf"{re.escape(version)}\.\d+ Hello\n", run(python, "-c", program))


def test_the_version_is_that_of_the_newest_release() -> None:
    releases = re.findall(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert releases[0] == VERSION
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{VERSION}"' not in pyproject


def test_it_serves(url: str) -> None:
    assert httpx2.get(f"{url}/_mock/health").status_code == 200
    answer = httpx2.post(
        f"{url}/v1/chat/completions", headers={"Authorization": "Bearer sk-nex-demo-every-model"}, json=CHAT
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]


def test_it_needs_none_of_the_extras(commands: Path) -> None:
    names = run(UV, "pip", "list", "--python", commands / "python", "--format", "freeze").lower()
    assert "aione-mock" in names
    wanted = {"starlette", "uvicorn"}
    extras = {"schemathesis", "hypothesis", "pytest", "faker", "openai", "anthropic"}
    installed = {line.partition("==")[0] for line in names.split()}
    assert wanted <= installed
    assert installed & extras == set()


def test_its_metadata_and_its_command_tell_one_version(commands: Path) -> None:
    told = run(commands / "aione-mock", "--version").split()[-1]
    code = "from importlib.metadata import version; print(version('aione-mock'))"
    assert run(commands / "python", "-c", code).strip() == told


def test_the_commands_find_their_files(commands: Path, tmp_path: Path) -> None:
    target = tmp_path / "aione.yaml"
    run(commands / "aione-mock", "spec", "bundle", "--output", target)
    assert "/v1/chat/completions" in yaml.load(target.read_bytes(), Loader=yaml.CSafeLoader)["paths"]
    assert "sk-nex-demo-every-model" in run(commands / "python", "-m", "aione_mock", "keys")


def test_extensions_are_served(commands: Path, tmp_path: Path) -> None:
    routes = run(commands / "aione-mock", "spec", "routes", "--with", ",".join(EXTENSIONS))
    assert "createEmbedding" in routes
    assert "createResponse" in routes
    program = (
        "from aione_mock import create_app; app = create_app(extensions='embeddings,responses');"
        "print('text-embedding-3-small' in app.sessions.get().catalogue.names)"
    )
    assert run(commands / "python", "-c", program).strip() == "True"


def test_an_editable_install_uses_the_files_of_the_checkout(commands: Path) -> None:
    code = (
        "from aione_mock import settings; print(settings.locate_document(''), settings.locate_fixture('models.yaml'))"
    )
    # -P: not the checkout in the working directory
    openapi, models = map(Path, run(commands / "python", "-P", "-c", code).split())
    (site_packages,) = commands.parent.glob("lib/python*/site-packages")
    editable = not (site_packages / "aione_mock").exists()
    home = ROOT if editable else site_packages / "aione_mock"
    assert editable == bool(list(site_packages.glob("*aione_mock*.pth")))
    assert (openapi, models) == (home / "openapi", home / "fixtures" / "models.yaml")
    assert models.is_file()


def test_the_source_distribution_holds_the_data(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {member.name.partition("/")[2] for member in opened.getmembers()}
    for folder in ("openapi", "fixtures"):
        assert {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if counts(path)} <= held


def test_no_symbolic_link_is_tracked() -> None:
    modes = run("git", "-C", ROOT, "ls-files", "--stage").splitlines()
    assert modes
    assert [line for line in modes if line.startswith("120000")] == []


def test_the_wheel_holds_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        links = [entry.filename for entry in archive.infolist() if (entry.external_attr >> 28) == 0o12]
    package = ROOT / "aione_mock"
    wanted = {f"aione_mock/{path.relative_to(package)}" for path in package.rglob("*") if counts(path)}
    for folder in ("openapi", "fixtures", "web/dist"):
        wanted |= {f"aione_mock/{path.relative_to(ROOT)}" for path in (ROOT / folder).rglob("*") if counts(path)}
    wanted |= {f"aione_mock/{path.relative_to(ROOT)}" for path in (ROOT / "docs").rglob("*.md")}
    assert links == []
    assert "aione_mock/openapi/aione/openai.yaml" in held
    assert "aione_mock/py.typed" in held
    assert held == wanted


def counts(path: Path) -> bool:
    return path.is_file() and not {".cache", "__pycache__"} & set(path.parts)


def test_the_page_is_in_both_distributions_and_is_served_without_node(dist: Path, wheel: Path, url: str) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"web/package-lock.json", "web/src/main.tsx", "web/dist/index.html", "scripts/build_page.py"} <= names
    assert not [name for name in names if "node_modules" in name]
    with zipfile.ZipFile(wheel) as opened_wheel:
        assert "aione_mock/web/dist/index.html" in opened_wheel.namelist()
        assert not [name for name in opened_wheel.namelist() if name.endswith((".ts", ".tsx"))]
    page = httpx2.get(url, headers={"accept": "text/html"}, follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, "/_mock/ui/")
    (script,) = re.findall(r'src="[.]/([^"]+)"', page.text)
    assert httpx2.get(f"{url}/_mock/ui/{script}").status_code == 200


def test_without_node_and_network_the_page_is_left_out(tmp_path: Path) -> None:
    for name in ("scripts/build_page.py", "openapi/control.yaml", *PAGE_SOURCES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    nothing = {"PATH": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "HOME": str(tmp_path)}
    script = [sys.executable, str(tmp_path / "scripts" / "build_page.py")]
    optional = subprocess.run([*script, "--optional"], env=nothing, capture_output=True, text=True, check=False)
    assert optional.returncode == 0
    assert "the page could not be built" in optional.stderr
    assert not (tmp_path / "web" / "dist").exists()
    assert subprocess.run(script, env=nothing, capture_output=True, check=False).returncode == 1


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    assert len(lock) > 50
    assert [name for name, package in lock.items() if "resolved" in package] == []
    assert [name for name, package in lock.items() if name and "integrity" not in package] == []
