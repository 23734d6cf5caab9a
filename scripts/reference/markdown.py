"""Write Markdown: tables, code and headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import orjson

from aione_mock.types import Json

NOTICE = "This page is made from the code of version {version} when the documentation is built."
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def format_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table, or nothing if there is no row."""
    lines = [f"| {' | '.join(_format_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]) if lines else ""


def format_code(text: str, language: str = "") -> str:
    """Return a block of code, fenced with more backticks than it contains."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def format_json(value: Json) -> str:
    """Return a block of indented JSON."""
    return format_code(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(), "json")


def quote(names: Iterable[object]) -> str:
    """Return names as code, with commas between them."""
    return ", ".join(f"`{name}`" for name in names)


def flatten_headings(text: str) -> str:
    """Return a text whose headings are bold paragraphs, so that it can stand below a heading of any level."""
    return _HEADING.sub(r"**\1**\n", text.strip())


def join_parts(*parts: str) -> str:
    """Return a page of those parts that are not empty."""
    return "\n\n".join(part for part in parts if part) + "\n"


def _format_cell(cell: object) -> str:
    text = flatten_headings(str(cell)).replace("|", "\\|")
    return " ".join(text.split())
