"""Spans, colours and the PNG that comes of them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aione_mock.model import canvas as shapes
from aione_mock.model.canvas import Canvas, Span

BLACK, RED, BLUE, WHITE = (0, 0, 0), (255, 0, 0), (0, 0, 255), (255, 255, 255)


def blank(width: int, height: int) -> Canvas:
    canvas = Canvas(width, height)
    canvas.ink(BLACK)
    return canvas


def drawn(spans: Iterable[Span], width: int = 9, height: int = 7) -> list[str]:
    canvas = blank(width, height)
    canvas.fill(spans, RED)
    return ["".join(".#"[ink] for ink in row) for row in canvas.rows()]


def test_box_and_peak() -> None:
    assert drawn(shapes.box(1, 1, 3, 9), 4, 3) == ["....", ".##.", ".##."]
    assert drawn(shapes.peak(2, 0, 4, 2), 5, 4) == ["..#..", "..#..", ".###.", ".###."]


def test_disc() -> None:
    rows = drawn(shapes.disc(4, 3, 3))
    assert rows == ["...###...", "..#####..", "..#####..", "..#####..", "..#####..", "...###...", "........."]
    assert drawn(shapes.disc(4, 3, 3, 1)) == [*(["........."] * 2), *(["..#####.."] * 2), *(["........."] * 3)]


def test_polygon_by_the_even_odd_rule() -> None:
    assert drawn(shapes.polygon((0, 0), (4, 0), (0, 4)), 5, 5) == ["####.", "###..", "##...", "#....", "....."]
    notch = shapes.polygon((0, 0), (4, 0), (4, 6), (2, 2), (0, 6))
    assert drawn(notch, 5, 6) == ["####.", "####.", "##.#.", "##.#.", "#....", "#...."]


def test_clip() -> None:
    assert drawn(shapes.clip(shapes.box(0, 0, 5, 5), 1, 2, 3, 4), 5, 5) == [".....", ".....", ".##..", ".##..", "....."]


@given(st.lists(st.tuples(*[st.integers(-9, 15)] * 3)))
def test_what_lies_outside_is_cut_off(spans: list[Span]) -> None:
    inside = {(x, y) for x, top, bottom in spans for y in range(top, bottom)}
    expected = ["".join(".#"[(x, y) in inside] for x in range(6)) for y in range(5)]
    assert drawn(spans, 6, 5) == expected


def test_tints_mix_with_what_is_there() -> None:
    canvas = blank(3, 1)
    canvas.fill(shapes.box(1, 0, 3, 1), BLUE)
    canvas.tint(shapes.box(0, 0, 2, 1), RED, 0.2)
    (row,) = canvas.rows()
    assert [canvas.colours[ink] for ink in row] == [(51, 0, 0), (51, 0, 204), BLUE]


def test_gradients_run_through_their_stops() -> None:
    canvas = blank(8, 60)
    canvas.gradient(0, 60, (RED, BLUE), 16)
    rows = list(canvas.rows())
    reds = [sum(canvas.colours[ink][0] for ink in row) / 8 for row in rows]
    assert canvas.colours[rows[0][0]] == RED
    assert reds[-1] < 20
    assert all(later <= earlier + 9 for earlier, later in pairwise(reds))
    assert any(len(set(row)) == 2 for row in rows)


def test_a_full_palette_gives_the_nearest_colour() -> None:
    canvas = blank(1, 1)
    for level in range(255):
        canvas.ink((0, level, 7))
    assert len(canvas.colours) == 256
    assert canvas.colours[canvas.ink((0, 100, 9))] == (0, 100, 7)
    assert len(canvas.colours) == 256


def test_tints_leave_room_for_plain_colours() -> None:
    canvas = blank(250, 1)
    for x in range(200):
        canvas.fill([(x, 0, 1)], (x, 0, 7))
    canvas.tint(shapes.box(0, 0, 250, 1), WHITE, 0.3)
    assert len(canvas.colours) < 210
    canvas.fill([(0, 0, 1)], WHITE)
    assert canvas.colours[next(canvas.rows())[0]] == WHITE


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), st.binary(min_size=49, max_size=49))
def test_the_png_shows_the_pixels(width: int, height: int, scale: int, inks: bytes) -> None:
    canvas = blank(width, height)
    for place in range(width * height):
        x, y = divmod(place, height)
        canvas.fill([(x, y, y + 1)], (inks[place], 10, 20))
    image = Image.open(io.BytesIO(canvas.png(scale, {"Comment": "déjà 海"}))).convert("RGB")
    assert image.size == (width * scale, height * scale)
    assert image.info["Comment"] == "déjà 海"
    for x in range(width * scale):
        for y in range(height * scale):
            assert image.getpixel((x, y)) == (inks[x // scale * height + y // scale], 10, 20)
