"""A paletted picture: shapes are vertical spans, pixels lie column by column, and the whole becomes a PNG.

Columns, because nearly all of a landscape is vertical runs of one colour, which bytes take in one slice each.
At most 256 colours; a colour beyond them becomes the nearest there is. Translucent colours multiply, so they may
take no more than `_MIXED` of them and leave the rest to plain ones.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

Colour = tuple[int, int, int]
Span = tuple[int, int, int]
"""(x, first row, row after the last); parts outside the canvas are cut off when drawn."""

_BAYER = ((0, 8, 2, 10), (12, 4, 14, 6), (3, 11, 1, 9), (15, 7, 13, 5))
"""Thresholds in sixteenths that blend two neighbouring shades of a gradient."""


_MIXED = 208


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: `one` at share 0, `other` at share 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def shade(stops: Sequence[Colour], share: float) -> Colour:
    """The colour at `share` (0 to 1) of a gradient through `stops`."""
    at = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(at), len(stops) - 2)
    return mix(stops[index], stops[index + 1], at - index)


class Canvas:
    """`width` × `height` pixels, all of the first colour asked for until drawn on."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.colours: list[Colour] = []
        self._inks: dict[Colour, int] = {}
        self._pixels = bytearray(width * height)

    def ink(self, colour: Colour, limit: int = 256) -> int:
        """The palette's index of a colour, or of the nearest one when `limit` colours are there."""
        known = self._inks.get(colour)
        if known is not None:
            return known
        if len(self.colours) >= limit:
            return min(range(len(self.colours)), key=lambda index: math.dist(self.colours[index], colour))
        self.colours.append(colour)
        self._inks[colour] = len(self.colours) - 1
        return self._inks[colour]

    def fill(self, spans: Iterable[Span], colour: Colour) -> None:
        """Cover spans with one colour."""
        paint = bytes((self.ink(colour),)) * self.height
        pixels, width, height = self._pixels, self.width, self.height
        for x, top, bottom in spans:  # as _inside, without its cost: pictures have tens of thousands of spans
            top = max(top, 0)
            bottom = min(bottom, height)
            if top < bottom and 0 <= x < width:
                pixels[x * height + top : x * height + bottom] = paint[top:bottom]

    def tint(self, spans: Iterable[Span], colour: Colour, share: float) -> None:
        """Cover spans with a translucent colour, `share` being how much of it shows."""
        places = list(self._inside(spans))
        used = set(b"".join([self._pixels[start:stop] for start, stop in places]))
        table = bytearray(range(256))
        for ink in sorted(used):
            table[ink] = self.ink(mix(self.colours[ink], colour, share), _MIXED)
        for start, stop in places:
            self._pixels[start:stop] = self._pixels[start:stop].translate(table)

    def gradient(self, top: int, bottom: int, stops: Sequence[Colour], bands: int = 32) -> None:
        """Cover the rows from `top` to before `bottom` with shades that run through `stops`, dithered."""
        inks = [self.ink(shade(stops, band / (bands - 1))) for band in range(bands)]
        span = max(1, bottom - top)
        columns = []
        for column in range(4):
            steps = (((y - top) * (bands - 1) / span, _BAYER[y % 4][column] / 16) for y in range(top, bottom))
            columns.append(bytes([inks[int(at) + (at % 1 > threshold)] for at, threshold in steps]))
        for x in range(self.width):
            self._pixels[x * self.height + top : x * self.height + bottom] = columns[x % 4]

    def rows(self) -> Iterator[bytes]:
        """The rows from top to bottom, a palette index for each pixel."""
        for y in range(self.height):
            yield bytes(self._pixels[y :: self.height])

    def png(self, scale: int = 1, texts: Mapping[str, str] | None = None) -> bytes:
        """The picture as a PNG, each pixel drawn `scale` × `scale`; `texts` become its textual chunks."""
        width, height = self.width * scale, self.height * scale
        header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
        palette = b"".join(bytes(colour) for colour in self.colours)
        words = b"".join(_text(keyword, text) for keyword, text in (texts or {}).items())
        return b"".join(
            (
                b"\x89PNG\r\n\x1a\n",
                _chunk(b"IHDR", header),
                words,
                _chunk(b"PLTE", palette),
                _chunk(b"IDAT", self._packed(scale)),
                _chunk(b"IEND", b""),
            )
        )

    def _packed(self, scale: int) -> bytes:
        """The pixel data, compressed row by row, so that other threads run meanwhile."""
        packer = zlib.compressobj(6 if scale == 1 else 3)
        same = (b"\x02" + bytes(self.width * scale)) * (scale - 1)  # filter 2: as the row above
        parts = []
        for row in self.rows():
            wide = bytearray(len(row) * scale)
            for offset in range(scale):
                wide[offset::scale] = row
            parts.append(packer.compress(b"\x00" + wide + same))
        parts.append(packer.flush())
        return b"".join(parts)

    def _inside(self, spans: Iterable[Span]) -> Iterator[tuple[int, int]]:
        """Start and stop in the pixels, for what of the spans lies on the canvas."""
        for x, top, bottom in spans:
            top, bottom = max(top, 0), min(bottom, self.height)
            if 0 <= x < self.width and top < bottom:
                yield x * self.height + top, x * self.height + bottom


def box(left: float, top: float, right: float, bottom: float) -> Iterator[Span]:
    """A rectangle."""
    return ((x, round(top), round(bottom)) for x in range(round(left), round(right)))


def disc(x: float, y: float, radius: float, height: float | None = None) -> Iterator[Span]:
    """A circle, or an ellipse where half its height is given too."""
    half = radius if height is None else height
    for column in range(math.ceil(x - radius), math.floor(x + radius) + 1):
        reach = half * math.sqrt(max(0.0, 1 - ((column - x) / radius) ** 2))
        yield column, round(y - reach), round(y + reach)


def peak(x: float, top: float, bottom: float, half: float) -> Iterator[Span]:
    """A triangle on its base, `half` its width to either side of `x`."""
    slope, foot = (bottom - top) / half, round(bottom)
    return (
        (column, round(top + abs(column - x) * slope), foot)
        for column in range(math.ceil(x - half), math.floor(x + half) + 1)
    )


def polygon(*corners: tuple[float, float]) -> Iterator[Span]:
    """The inside of a closed line through `corners`, by the even-odd rule."""
    edges = [(min(one, other), max(one, other)) for one, other in zip(corners, (*corners[1:], corners[0]), strict=True)]
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    for column in range(math.ceil(left), math.floor(right) + 1):
        cuts = sorted(y0 + (y1 - y0) * (column - x0) / (x1 - x0) for (x0, y0), (x1, y1) in edges if x0 <= column < x1)
        for top, bottom in zip(cuts[::2], cuts[1::2], strict=False):
            yield column, round(top), round(bottom)


def clip(spans: Iterable[Span], left: float, top: float, right: float, bottom: float) -> Iterator[Span]:
    """What of `spans` lies inside a rectangle."""
    for x, start, stop in spans:
        if round(left) <= x < round(right):
            yield x, max(start, round(top)), min(stop, round(bottom))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _text(keyword: str, text: str) -> bytes:
    """An international text chunk, uncompressed."""
    return _chunk(b"iTXt", keyword.encode("latin-1") + bytes(5) + text.encode("utf-8", "replace"))
