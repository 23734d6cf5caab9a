"""Build the documentation of this version into a folder that holds those of all versions.

python scripts/publish_docs.py FOLDER      FOLDER/0.2/, FOLDER/versions.json, FOLDER/index.html, FOLDER/404.html

The folder has the layout of mike, so that the theme offers all versions. Pages of other versions are left as they are.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import orjson
from build_docs import build_site
from packaging.version import Version

from aione_mock.settings import VERSION

SITE_URL = "https://aione-mock.github.io/aione-mock/"
"""Where the folder is served, as `pyproject.toml` says too."""
_REDIRECT = """\
<!doctype html>
<meta charset="utf-8">
<title>aione-mock</title>
<meta http-equiv="refresh" content="0; url={0}/index.html">
<a href="{0}/index.html">aione-mock {0}</a>
"""


def publish(folder: Path, version: str) -> None:
    """Build the pages of a version; patch releases of a version replace each other."""
    name = ".".join(version.split(".")[:2])
    with tempfile.TemporaryDirectory() as work:
        build_site(Path(work), folder / name, site_url=f"{SITE_URL}{name}/")
    write_index(folder)


def write_index(folder: Path) -> None:
    """List the versions of a folder, the newest first, and lead readers to that one."""
    names = [path.parent.name for path in folder.glob("*/index.html")]
    newest, *others = sorted(names, key=Version, reverse=True)
    entries = [{"version": newest, "title": newest, "aliases": ["latest"]}]
    entries += [{"version": name, "title": name, "aliases": []} for name in others]
    (folder / "versions.json").write_bytes(orjson.dumps(entries))
    (folder / "index.html").write_text(_REDIRECT.format(newest), encoding="utf-8")
    if (unknown := folder / newest / "404.html").exists():
        shutil.copy(unknown, folder)
    (folder / ".nojekyll").touch()


if __name__ == "__main__":
    publish(Path(sys.argv[1]), VERSION)
