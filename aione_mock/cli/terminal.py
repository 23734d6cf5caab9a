"""Print lines, tables, headings and JSON: framed tables on a terminal, plain lines for pipes and logs.

Whatever the text holds, a terminal and the runner of a CI system obey none of it.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

import typer

from aione_mock.text.escaping import escape_unprintable
from aione_mock.types import Json

Rows = Sequence[Sequence[str]]


def is_interactive() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def print_line(text: str = "", *, err: bool = False) -> None:
    """Print text on one line."""
    typer.echo(escape_unprintable(text), err=err)


def print_lines(text: str) -> None:
    """Print text on as many lines as it has."""
    typer.echo(escape_unprintable(text, lines=True))


def print_table(head: Sequence[str], rows: Rows) -> None:
    """Print rows under a head: framed on a terminal, else a line for each row with columns two spaces apart."""
    rows = [[escape_unprintable(cell) for cell in row] for row in rows]
    if is_interactive():
        _print_framed(head, rows)
    else:
        for line in align_columns([[name.upper() for name in head], *rows]):
            typer.echo(line)


def print_heading(text: str) -> None:
    """Print a line in bold."""
    typer.secho(escape_unprintable(text), bold=True)


def print_json(content: Json) -> None:
    """Print indented JSON."""
    typer.echo(escape_unprintable(format_json(content).decode(), lines=True), nl=False)


def format_json(content: Json) -> bytes:
    """Serialize indented JSON with a newline at the end."""
    import orjson

    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def align_columns(rows: Rows) -> list[str]:
    """Return lines with columns as wide as their widest cell."""
    widths = [max(map(measure_width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_pad, row, widths)).rstrip() for row in rows]


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - measure_width(cell))


def measure_width(text: str) -> int:
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
