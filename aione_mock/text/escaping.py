"""Text that is printed. Nothing in text from elsewhere may be obeyed by a terminal or by the runner of a CI system."""

from __future__ import annotations

import json
import re
import unicodedata

_CANDIDATES = re.compile(r"[^ -~]")
"""Characters that may have to be escaped: all but printable ASCII."""
_CANDIDATES_IN_LINES = re.compile(r"[^ -~\n]")
_COMMANDS = re.compile(r"^\s*:(?=:)|##(?=\w*\[)", re.MULTILINE)
"""Starts of commands of GitHub (`::name`, `##[name]`), Azure (`##vso[`) and TeamCity (`##teamcity[`)."""


def escape_unprintable(text: str, *, lines: bool = False) -> str:
    r"""Escape what does not print as JSON does: ESC becomes `\u001b`, a newline `\n`.

    These are the control characters (C0, C1), marks of direction and other invisible ones, separators of lines, lone
    surrogates and the starts of commands of CI runners. JSON stays valid and keeps its meaning. With `lines`, newlines
    are kept.
    """
    if not (text.isascii() and text.isprintable()):  # quicker than a search
        text = (_CANDIDATES_IN_LINES if lines else _CANDIDATES).sub(_escape_match, text)
    return _COMMANDS.sub(_escape_command, text) if "::" in text or "##" in text else text


def _escape_match(match: re.Match[str]) -> str:
    char = match[0]
    return char if char.isprintable() or unicodedata.category(char) == "Zs" else json.dumps(char)[1:-1]


def _escape_command(match: re.Match[str]) -> str:
    return f"{match[0][:-1]}\\u{ord(match[0][-1]):04x}"


def count_nouns(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
