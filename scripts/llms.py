"""Write what language models read of the site: `llms.txt`, a list of the pages, and `llms-full.txt`, their text.

Source: llmstxt.org; a title, a summary, and a section of links for each part of the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_FIRST, _REST = "Start", "Optional"
"""Sections for pages that stand in no part of the navigation, and for pages that it does not name."""
_MAX_SUMMARY = 160
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|[*`]")
_NO_PROSE = ("#", "|", "```", "<", "- ", "> ", "!")
"""What lines begin with that are no sentences."""


def write_texts(sources: Path, navigation: Sequence[Any], target: Path, summary: str) -> None:
    """Write both files for the pages in `sources`, in the order of the navigation."""
    pages = {path.relative_to(sources).as_posix(): path.read_text("utf-8") for path in sorted(sources.rglob("*.md"))}
    sections = _sort_pages(pages, navigation)
    head = f"# aione-mock\n\n> {summary}\n"
    parts = [head, *[_list_section(title, names, pages) for title, names in sections.items()]]
    (target / "llms.txt").write_text("\n".join(parts), encoding="utf-8")
    texts = [f"<!-- {name} -->\n\n{pages[name].strip()}\n" for names in sections.values() for name in names]
    (target / "llms-full.txt").write_text("\n".join([head, *texts]), encoding="utf-8")


def _sort_pages(pages: Mapping[str, str], navigation: Sequence[Any]) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {_FIRST: []}
    for entry in navigation:
        for title, names in entry.items() if isinstance(entry, dict) else [(_FIRST, [entry])]:
            sections.setdefault(title, []).extend(name for name in names if name in pages)
    named = {name for names in sections.values() for name in names}
    return sections | {_REST: [name for name in pages if name not in named]}


def _list_section(title: str, names: Sequence[str], pages: Mapping[str, str]) -> str:
    if not names:
        return ""
    links = [f"- [{_find_title(pages[name])}]({_find_address(name)}){_summarize(pages[name])}" for name in names]
    return "\n".join([f"## {title}", "", *links, ""])


def _find_address(name: str) -> str:
    """Return where the site has a page; a README is the index of its folder."""
    return re.sub(r"(^|/)README\.md$", r"\1index.md", name).removesuffix(".md") + ".html"


def _find_title(text: str) -> str:
    return next((line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")), "")


def _summarize(text: str) -> str:
    """Return a colon and the first sentence of a page; nothing for a page that begins with something else."""
    paragraph = " ".join(_read_first_paragraph(text))
    sentence = re.split(r"(?<=[.!?])\s", _MARKUP.sub(r"\1", paragraph), maxsplit=1)[0]
    return f": {sentence}" if 0 < len(sentence) <= _MAX_SUMMARY else ""


def _read_first_paragraph(text: str) -> Iterator[str]:
    begun = False
    for line in text.splitlines():
        if line.startswith(_NO_PROSE) or not line.strip():
            if begun:
                return
            continue
        begun = True
        yield line.strip()
