"""What the terminal shows: rich where somebody looks, plain lines for pipes and logs."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

import typer

Rows = Sequence[Sequence[str]]


def interactive() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def table(head: Sequence[str], rows: Rows) -> None:
    """Print rows under their heads: framed on a terminal, else one line a row, columns two blanks apart."""
    if interactive():
        _framed(head, rows)
    else:
        for line in aligned([[name.upper() for name in head], *rows]):
            typer.echo(line)


def heading(text: str) -> None:
    """Print a line that begins a part."""
    typer.secho(text, bold=True)


def aligned(rows: Rows) -> list[str]:
    """Lines with columns as wide as their widest cell."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]).rstrip()
        for row in rows
    ]


def width(text: str) -> int:
    """Columns that a text takes; a Chinese character takes two."""
    return sum([2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text])


def _framed(head: Sequence[str], rows: Rows) -> None:
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
