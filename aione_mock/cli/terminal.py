"""Print tables, headings and JSON: framed tables on a terminal, plain lines for pipes and logs."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

import typer

from aione_mock.types import Json

Rows = Sequence[Sequence[str]]


def is_interactive() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def print_table(head: Sequence[str], rows: Rows) -> None:
    """Print rows under a head: framed on a terminal, else a line for each row with columns two spaces apart."""
    if is_interactive():
        _print_framed(head, rows)
    else:
        for line in align_columns([[name.upper() for name in head], *rows]):
            typer.echo(line)


def print_heading(text: str) -> None:
    """Print a line in bold."""
    typer.secho(text, bold=True)


def print_json(content: Json) -> None:
    """Print indented JSON."""
    typer.echo(format_json(content), nl=False)


def format_json(content: Json) -> bytes:
    """Serialize indented JSON with a newline at the end."""
    import orjson

    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def align_columns(rows: Rows) -> list[str]:
    """Return lines with columns as wide as their widest cell."""
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_pad, row, widths)).rstrip() for row in rows]


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - display_width(cell))


def display_width(text: str) -> int:
    """Return the number of columns that a text takes; a Chinese character takes two."""
    return sum([2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text])


def _print_framed(head: Sequence[str], rows: Rows) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        # only the last column may wrap: a secret in two pieces cannot be copied
        grid.add_column(name, no_wrap=name != head[-1], overflow="fold")
    for row in rows:
        grid.add_row(*[Text(cell) for cell in row])
    Console().print(grid)
