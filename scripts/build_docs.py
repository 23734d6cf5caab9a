"""Build the documentation site in English and Chinese, with the pages that are made from the code.

python scripts/build_docs.py [FOLDER]      site/ by default

Pages that people write are in docs/, their Chinese editions in docs/zh/. Pages that scripts/reference/ makes replace
the notes which stand for them in the repository, so that links to them lead somewhere there too. The site works without
a server and loads nothing from elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import orjson
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from llms import write_texts  # noqa: E402
from reference import commands, headers, keys, laws, operations, rules, scenarios, settings, testing  # noqa: E402

from aione_mock.cli.schemas import SchemaName, make_schema  # noqa: E402
from aione_mock.settings import VERSION  # noqa: E402

DOCS, CHINESE = ROOT / "docs", ROOT / "docs" / "zh"
GENERATED: Mapping[str, Callable[[], str]] = {
    "reference/cli.md": commands.write_page,
    "reference/settings.md": settings.write_page,
    "reference/rules.md": rules.write_page,
    "reference/scenarios.md": scenarios.write_page,
    "reference/errors.md": scenarios.write_error_page,
    "reference/testing.md": testing.write_page,
    "reference/headers.md": headers.write_page,
    "reference/keys.md": keys.write_page,
    "reference/laws.md": lambda: laws.write_page(DOCS / "explanation" / "proof.json"),
    "reference/contract-extensions.md": operations.write_extension_page,
    **{f"reference/{name}": lambda name=name: operations.write_page(name) for name in operations.PAGES},
}
"""Page → what writes it."""
_NOTE = "\n\n> 本页由程序从代码和契约生成，或记录测量结果，正文为英文。\n"
_SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the theme would load from elsewhere; docs/assets/ has a copy."""
_SECTIONS = {"Tutorials": "教程", "How-to": "操作指南", "Reference": "参考", "Explanation": "原理"}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)\s#]+)(#[^)\s]*)?\)")


def main() -> None:
    """Build the site into the folder that the command line names."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site"
    with tempfile.TemporaryDirectory() as folder:
        build_site(Path(folder), target)
    print(f"{target / 'index.html'}")


def build_site(work: Path, target: Path, *, site_url: str | None = None) -> None:
    """Build both languages into `target`. Raises SystemExit for a warning, such as a broken link.

    `site_url` is where the pages will be published, in a folder for their version: the site map and the page for
    unknown paths name it, and English pages offer the versions that `../versions.json` lists. Pages work from a disk
    without it.
    """
    pages = {name: write() for name, write in GENERATED.items()}
    for language in ("en", "zh"):
        write_sources(work / language / "docs", language, pages)
        _write_configuration(work / language / "mkdocs.yml", language, site_url)
    runs = [start_builder(work / language) for language in ("en", "zh")]
    for run in runs:
        output, _ = run.communicate()
        if run.returncode or "Warning" in output:
            raise SystemExit(output)
    for page in work.glob("*/site/**/*.html"):
        _use_own_script(page)
    for language in ("en", "zh"):
        _remove_server_files(work / language / "site", keep=bool(site_url) and language == "en")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(work / "en" / "site", target)
    shutil.copytree(work / "zh" / "site", target / "zh")
    options = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    write_texts(work / "en" / "docs", options["nav"], target, options["site_description"])


def write_sources(folder: Path, language: str, pages: Mapping[str, str]) -> None:
    """Write the sources of one language: pages of people, generated pages, schemas, and files that pages link to."""
    for path in _list_sources():
        name = path.relative_to(DOCS).as_posix()
        _write(folder / name, _read_page(name, language) if path.suffix == ".md" else path.read_bytes())
    for name, text in pages.items():
        _write(folder / name, text if language == "en" else _add_note(text))
    _write_schemas(folder / "schemas")
    for path in folder.rglob("*.md"):
        path.write_text(_move_links(path, folder), encoding="utf-8")


def list_untranslated() -> list[str]:
    """Return the pages in English that have no Chinese edition."""
    names = [path.relative_to(DOCS) for path in _list_sources() if path.suffix == ".md"]
    return sorted(name.as_posix() for name in names if not (CHINESE / name).exists())


def _list_sources() -> Iterator[Path]:
    for path in sorted(DOCS.rglob("*")):
        if path.is_file() and CHINESE not in path.parents:
            yield path


def _read_page(name: str, language: str) -> str:
    if language == "zh" and (CHINESE / name).exists():
        # in the site, Chinese pages lie one folder higher than in the repository
        text = (CHINESE / name).read_text(encoding="utf-8")
        return text.replace("../../images/", "../images/").replace("../../../", "../../")
    text = (DOCS / name).read_text(encoding="utf-8")
    return text if language == "en" else _add_note(text)


def _add_note(text: str) -> str:
    title, _, rest = text.partition("\n")
    return title + _NOTE + rest


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _move_links(path: Path, folder: Path) -> str:
    """Return a page whose links to files outside docs/ lead to copies of them; links to folders become text."""
    here = path.relative_to(folder).parent

    def move(match: re.Match[str]) -> str:
        text, link, anchor = match[1], match[2], match[3] or ""
        inside = os.path.normpath(here / link)
        if not inside.startswith(".."):
            return match[0]
        source = Path(os.path.normpath(DOCS / inside))
        if not source.is_file():
            return text
        name = source.relative_to(ROOT).as_posix()
        name = name if not name.endswith(".md") else f"{name}.txt"
        _write(folder / "files" / name, source.read_bytes())
        return f"[{text}]({os.path.relpath(folder / 'files' / name, path.parent)}{anchor})"

    return _LINK.sub(move, path.read_text(encoding="utf-8"))


def _write_configuration(path: Path, language: str, site_url: str | None) -> None:
    options: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    options["extra"]["version_text"] = VERSION
    if site_url:
        options["site_url"] = site_url if language == "en" else f"{site_url}zh/"
    if site_url and language == "en":
        options["extra"]["version"] = {"provider": "mike"}
    if language == "zh":
        options["theme"]["language"] = "zh"
        options["extra"]["alternate"][0]["link"] = "../index.html"
        options["extra"]["alternate"][1]["link"] = "./index.html"
        options["nav"] = [_translate(entry) for entry in options["nav"]]
    _write(path, yaml.safe_dump(options, allow_unicode=True, sort_keys=False))


def _translate(entry: Any) -> Any:
    return {_SECTIONS[name]: pages for name, pages in entry.items()} if isinstance(entry, dict) else entry


def start_builder(folder: Path) -> subprocess.Popen[str]:
    """Build the site of a folder; the exit code is not 0 if there is a warning."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _remove_server_files(site: Path, *, keep: bool) -> None:
    """Remove the page for unknown paths and the site map, unless they are to keep: they need the address of the site.

    A server shows one page for unknown paths, the English one.
    """
    if not keep:
        (site / "404.html").unlink()
        (site / "sitemap.xml").unlink()


def _use_own_script(page: Path) -> None:
    """Load the script that lets the search work without a server from this site."""
    site = next(folder for folder in page.parents if folder.name == "site")
    own = os.path.relpath(site / "assets" / "iframe-worker.js", page.parent)
    page.write_text(page.read_text("utf-8").replace(_SHIM, own), encoding="utf-8")


def _write_schemas(folder: Path) -> None:
    for name in get_args(SchemaName):
        _write(folder / f"{name}.schema.json", orjson.dumps(make_schema(name), option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
