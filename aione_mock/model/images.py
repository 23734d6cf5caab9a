"""Draw the pictures of image models: a valid PNG of the requested size, deterministic by seed and prompt.

The seed chooses the colours, the prompt their places in a grid of tiles. PNG text chunks hold prompt and seed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator

from aione_mock.errors import APIError
from aione_mock.seed import Seed
from aione_mock.types import ImageInput, Picture

ASPECT_RATIOS = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
}
"""Width and height in pixels at 1K. Google documents them for Gemini 3 Pro Image; assumed for the other models."""
IMAGE_SIZES = {"1K": 1, "2K": 2, "4K": 4}
"""Factor by which the width and height in `ASPECT_RATIOS` are multiplied."""
IMAGE_TOKENS = {"1K": 1290, "2K": 1680, "4K": 2520}
"""Completion tokens of one picture. Google documents them for 2.5 and 3.1 Flash Image; assumed for other models."""

_GRID = 8
"""Tiles in each direction. Divides every width and height in `ASPECT_RATIOS`, each tile being an even width."""
_MAX_TEXT = 20_000
"""Length in characters of the longest prompt that is stored whole."""
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def draw_image(
    text: str,
    seed: Seed,
    aspect_ratio: str = "1:1",
    image_size: str = "1K",
    references: tuple[ImageInput, ...] = (),
) -> Picture:
    """Return the picture for a prompt. The same arguments give the same bytes.

    Another image size gives the same picture enlarged.
    Raises APIError(invalid_request) for an aspect ratio or image size that is not offered.
    """
    width, height = compute_dimensions(aspect_ratio, image_size)
    palette = b"".join(
        seed.digest("palette", part, *(image.digest for image in references), size=24) for part in (0, 1)
    )
    tiles = seed.digest("tiles", text, size=_GRID * _GRID // 2).hex()
    chunks = (
        _build_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)),  # 4-bit indexes into a palette
        _build_chunk(b"PLTE", palette),
        _build_text_chunk("Description", text[:_MAX_TEXT].replace("\0", " ")),
        _build_text_chunk("Comment", f"seed {seed.key.hex()[:8]}"),
        _build_text_chunk("Software", "aione-mock"),
        _build_chunk(b"IDAT", _compress_tiles(tiles, width, height)),
        _build_chunk(b"IEND", b""),
    )
    return Picture("image/png", _PNG_SIGNATURE + b"".join(chunks), width, height)


def compute_dimensions(aspect_ratio: str, image_size: str) -> tuple[int, int]:
    """Return width and height in pixels.

    Raises APIError(invalid_request) for an aspect ratio or image size that is not offered.
    """
    _require_offered("aspect_ratio", aspect_ratio, ASPECT_RATIOS)
    _require_offered("image_size", image_size, IMAGE_SIZES)
    width, height = ASPECT_RATIOS[aspect_ratio]
    factor = IMAGE_SIZES[image_size]
    return width * factor, height * factor


def count_image_tokens(picture: Picture) -> int:
    """Return the completion tokens of a picture. Dimensions that are not in the tables count as 1K."""
    for image_size, factor in IMAGE_SIZES.items():
        if (picture.width // factor, picture.height // factor) in ASPECT_RATIOS.values():
            return IMAGE_TOKENS[image_size]
    return IMAGE_TOKENS["1K"]


def _require_offered(param: str, value: str, offered: Collection[str]) -> None:
    if value not in offered:
        message = f"Invalid {param} '{value[:40]}': expected one of {', '.join(offered)}."
        raise APIError("invalid_request", message, fields={"param": param})


def _compress_tiles(tiles: str, width: int, height: int) -> bytes:
    """Return the pixel data of a grid of tiles; each hexadecimal digit is the palette index of one tile."""
    compressor = zlib.compressobj(1)  # the rows repeat: a higher level is slower and saves little
    parts = [compressor.compress(rows) for rows in _iterate_rows(tiles, width, height)]
    return b"".join((*parts, compressor.flush()))


def _iterate_rows(tiles: str, width: int, height: int) -> Iterator[bytes]:
    """Yield the rows of pixels, those of one row of tiles at a time."""
    for start in range(0, len(tiles), _GRID):
        # one byte holds two pixels of four bits, one hexadecimal digit each
        pixels = b"".join(bytes.fromhex(tile * 2) * (width // _GRID // 2) for tile in tiles[start : start + _GRID])
        yield (b"\0" + pixels) * (height // _GRID)


def _build_text_chunk(keyword: str, text: str) -> bytes:
    """Return a `tEXt` chunk, or an `iTXt` chunk (UTF-8) for text beyond Latin-1."""
    try:
        return _build_chunk(b"tEXt", f"{keyword}\0{text}".encode("latin-1"))
    except UnicodeEncodeError:
        # uncompressed, without a language and without a translated keyword
        return _build_chunk(b"iTXt", f"{keyword}\0\0\0\0\0{text}".encode(errors="replace"))


def _build_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
