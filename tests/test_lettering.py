"""The small alphabet of a picture's caption."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from aione_mock.model import lettering
from aione_mock.model.canvas import Canvas


def shown(text: str, dot: int = 1) -> list[str]:
    canvas = Canvas(lettering.width(text) * dot, 15 * dot)
    canvas.ink((0, 0, 0))
    lettering.write(canvas, text, 0, 0, dot, (255, 0, 0))
    return ["".join(" #"[ink] for ink in row).rstrip() for row in canvas.rows()]


def test_a_letter() -> None:
    squares = [row[::2].rstrip() for row in shown("A")[:14:2]]
    assert squares == [" ###", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"]


def test_other_characters_show_their_code_point() -> None:
    assert shown("猫") == [
        "###########",
        "#         #",
        "# ### ### #",
        "#   #   # #",
        "#   # ### #",
        "#  #    # #",
        "#  #  ### #",
        "#         #",
        "# ### ##  #",
        "#   # # # #",
        "# ### ##  #",
        "# #   # # #",
        "# ### ##  #",
        "#         #",
        "###########",
    ]
    assert len(shown("🐈")[0]) == 15


def test_all_of_ascii_is_there_and_distinct() -> None:
    letters = [c for c in string.printable if c.isprintable()]
    assert len(letters) == 95
    assert len({tuple(shown(letter)) for letter in letters}) == 95
    assert {lettering.advance(letter) for letter in letters} == {12}


def test_dots_grow() -> None:
    assert [row[::3] for row in shown("a?", 3)[::3]] == shown("a?")


@given(st.text(), st.integers(0, 300))
def test_a_line_fits(text: str, dots: int) -> None:
    part = lettering.fit(text, dots)
    assert text.startswith(part)
    assert lettering.width(part) <= dots
    assert part == text or lettering.width(text[: len(part) + 1]) > dots


@given(st.text(max_size=8))
def test_anything_can_be_written(text: str) -> None:
    lines = shown(text + "|")
    assert any(lines)
    assert max(map(len, lines)) <= lettering.width(text + "|")
