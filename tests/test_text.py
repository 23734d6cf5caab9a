"""What a gateway writes is obeyed by no terminal and no runner of a CI system."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.text.escaping import escape_unprintable

INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[2J", "\\u001b[2J"),
        ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
        ("\x9b31m", "\\u009b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("a\u2028b", "a\\u2028b"),
        ("\udc80", "\\udc80"),
        ("::set-output name=a::b", "\\u003a:set-output name=a::b"),
        ("  ::error::x", "  \\u003a:error::x"),
        ("x ##[add-mask]y", "x #\\u0023[add-mask]y"),
        ("##vso[task.setvariable variable=a]b", "#\\u0023vso[task.setvariable variable=a]b"),
        ("##teamcity[buildStatus]", "#\\u0023teamcity[buildStatus]"),
        ("中文，全角　 ok é 🙂 a::b # h", "中文，全角　 ok é 🙂 a::b # h"),
    ],
)
def test_escapes_what_is_obeyed_and_nothing_else(text: str, escaped: str) -> None:
    assert escape_unprintable(text) == escaped


def test_newlines_are_kept_in_lines_but_no_line_is_a_command() -> None:
    assert escape_unprintable("a\n::b\n\t##[c]", lines=True) == "a\n\\u003a:b\n\\t#\\u0023[c]"


@given(st.text(st.characters(categories=sorted(INVISIBLE - {"Cn"} | {"Lu", "Po", "Zs"}))))
def test_nothing_invisible_is_left(text: str) -> None:
    escaped = escape_unprintable(text)
    assert not {unicodedata.category(char) for char in escaped} & INVISIBLE
    escaped.encode()


@given(st.recursive(st.text(), lambda children: st.dictionaries(st.text(), children, max_size=3), max_leaves=5))
def test_json_keeps_its_meaning(value: object) -> None:
    for indent in (None, 2):
        document = json.dumps(value, ensure_ascii=False, indent=indent)
        assert json.loads(escape_unprintable(document, lines=True)) == value
