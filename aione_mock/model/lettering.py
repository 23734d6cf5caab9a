"""A small alphabet of dots: ASCII, and for every other character a box that holds its code point in hexadecimal.

An ASCII letter is 5 × 7 squares of two dots each, a box 11 × 15 dots, so that both stand in one line.
"""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.model.canvas import Canvas, Colour, Span

LINE = 19
"""Dots from one line to the next."""

# A row of a glyph is one digit in base 32 whose five bits are its dots; from blank to tilde.
_LETTERS = """
    0000000 4444404 AA00000 0AVAVA0 4FKE5U4 OP248J3 CIK8LID 4400000 2488842 8422248 04LEL40 044V440 0000448 000V000
    00000CC 11248GG EHJLPHE 4C4444E EH1248V V2421HE 26AIV22 VGU11HE 68GUHHE V124888 EHHEHHE EHHF12C 0CC0CC0 0CC0C48
    248G842 00V0V00 8421248 EH12404 EH1DLLE EHHVHHH UHHUHHU EHGGGHE SIHHHIS VGGUGGV VGGUGGG EHGNHHF HHHVHHH E44444E
    72222IC HIKOKIH GGGGGGV HRLLHHH HHPLJHH EHHHHHE UHHUGGG EHHHLID UHHUKIH FGGE11U V444444 HHHHHHE HHHHHA4 HHHLLLA
    HHA4AHH HHHA444 V1248GV E88888E GG84211 E22222E 4AH0000 000000V 8400000 00E1FHF GGMPHHU 00EGGHE 11DJHHF 00EHVGE
    698S888 0FHHF1E GGMPHHH 40C444E 20622IC GGIKOKI C44444E 00QLLHH 00MPHHH 00EHHHE 00UHUGG 00DJF11 00MPGGG 00EGE1U
    88S8896 00HHHJD 00HHHA4 00HHLLA 00HA4AH 00HHF1E 00V248V 2448442 4444444 8442448 008L200
"""
# Likewise three dots wide and five high.
_NUMERALS = "75557 26227 71747 71717 55711 74717 74757 71122 75757 75717 25755 65656 34443 65556 74647 74644"
_DIGITS = dict(zip("0123456789ABCDEF", _NUMERALS.split(), strict=True))
_GLYPHS = dict(zip(map(chr, range(32, 127)), _LETTERS.split(), strict=True))


def advance(character: str) -> int:
    """Dots from a character to the next."""
    return 12 if character in _GLYPHS else 4 * _columns(character) + 5


def width(text: str) -> int:
    """Dots that a line takes."""
    return sum(map(advance, text))


def fit(text: str, dots: int) -> str:
    """As much of the front of `text` as fits into `dots`."""
    for end, character in enumerate(text):
        dots -= advance(character)
        if dots < 0:
            return text[:end]
    return text


def write(canvas: Canvas, text: str, x: int, y: int, dot: int, colour: Colour) -> None:
    """Draw a line of text, its upper left corner at (x, y), each dot being `dot` pixels square."""
    spans: list[Span] = []
    for character in text:
        for column, row, size in _dots(character):
            left, top = x + column * dot, y + row * dot
            spans.extend((left + offset, top, top + size * dot) for offset in range(size * dot))
        x += advance(character) * dot
    canvas.fill(spans, colour)


def _dots(character: str) -> Iterator[tuple[int, int, int]]:
    """(column, row, size) of the squares that make a character."""
    if character in _GLYPHS:
        yield from ((2 * column, 2 * row, 2) for column, row in _points(_GLYPHS[character], 5))
        return
    right = 4 * _columns(character) + 2
    yield from ((column, row, 1) for column in range(right + 1) for row in (0, 14))
    yield from ((column, row, 1) for column in (0, right) for row in range(1, 14))
    for place, digit in enumerate(_hex(character)):
        row, column = divmod(place, _columns(character))
        yield from ((2 + 4 * column + dx, 2 + 6 * row + dy, 1) for dx, dy in _points(_DIGITS[digit], 3))


def _points(glyph: str, columns: int) -> Iterator[tuple[int, int]]:
    """(column, row) of a glyph's dots."""
    for row, letter in enumerate(glyph):
        yield from ((column, row) for column in range(columns) if int(letter, 32) >> (columns - 1 - column) & 1)


def _hex(character: str) -> str:
    code = f"{ord(character):04X}"
    return code if len(code) == 4 else code.zfill(6)


def _columns(character: str) -> int:
    """Digits side by side in a character's box: two, or three beyond U+FFFF."""
    return len(_hex(character)) // 2
