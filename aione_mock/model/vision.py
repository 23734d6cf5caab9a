"""What the model sees of an image: its type and size, read from its first bytes.

Pixels are never decoded. PNG, JPEG, GIF, WebP and BMP are known; anything else, a picture cut short, or one that
contradicts its declared type is `APIError("invalid_request")`. Addresses are never fetched.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Callable
from hashlib import blake2b
from urllib.parse import unquote_to_bytes

from aione_mock.errors import APIError
from aione_mock.types import ImageInput

UNSEEN = "image/*"
"""The type of an image given by its address."""

_ADDRESS = re.compile(r"(?:https?|gs)://.", re.IGNORECASE)
_DATA_URI = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
}
_SEGMENTS = 4096
"""JPEG segments walked before giving up; real files have a few dozen before their frame header."""
_PNG_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
"""Bit depths that each PNG colour type allows."""


class _Broken(ValueError):
    """Why bytes are no picture; the end of a sentence."""


def look(data: bytes | str, declared_mime: str | None = None, param: str | None = None) -> ImageInput:
    """An image given as bytes or as base64 text (either alphabet, padding optional, line breaks allowed).

    `param` names the place in the request for the refusal.
    Raises APIError(invalid_request) for bad base64, a broken or unknown picture, or a contradicting type.
    """
    try:
        raw = data if isinstance(data, bytes) else _decode(data)
        mime, (width, height) = _measure(raw)
        _agree(declared_mime, mime)
    except _Broken as reason:
        raise APIError("invalid_request", f"Invalid image: {reason}.", fields={"param": param}) from None
    return ImageInput(mime, width, height, _digest(raw))


def from_data_uri(uri: str, param: str | None = None) -> ImageInput:
    """An image given as a `data:` URI, or as an address (http, https, gs).

    What an address points at stays unseen: type `image/*`, size 0×0, the digest being that of the address.
    Raises APIError(invalid_request) for other schemes and as `look` does.
    """
    if _ADDRESS.match(uri):
        return ImageInput(UNSEEN, 0, 0, _digest(uri.encode("utf-8", "surrogatepass")))
    head = _DATA_URI.match(uri)
    if head is None:
        message = "Invalid image: expected a data: URI such as data:image/png;base64,… or an http(s) address."
        raise APIError("invalid_request", message, fields={"param": param})
    payload = uri[head.end() :].encode("utf-8", "surrogatepass")
    if head[2].lower().endswith(";base64"):
        return look(unquote_to_bytes(payload).decode("latin-1"), head[1], param)
    return look(unquote_to_bytes(payload), head[1], param)


def tokens(image: ImageInput) -> int:
    """Prompt tokens of an image by OpenAI's rule for detail `high`, used for all protocols: 255 to 1,445.

    Fitted into 2,048 px square, then the shorter side brought down to 768 px: 85 plus 170 for each tile of 512 px.
    An unseen image counts as 1,024 px square.
    """
    width, height = image.width or 1024, image.height or 1024
    longer = max(width, height)
    if longer > 2048:
        width, height, longer = width * 2048 // longer, height * 2048 // longer, 2048
    shorter = min(width, height)
    if shorter > 768:
        width, height = width * 768 // shorter, height * 768 // shorter
    return 85 + 170 * (max(1, -(-width // 512)) * max(1, -(-height // 512)))


def describe(image: ImageInput, language: str = "en") -> str:
    """`a 640×480 PNG`, in Chinese where `language` starts with `zh`."""
    chinese = language.startswith("zh")
    if image.mime == UNSEEN:
        return "一张只给出地址、没有打开的图片" if chinese else "a picture whose address I know but have not opened"
    kind, size = _kind(image.mime), f"{image.width}×{image.height}"
    return f"一张 {size} 的 {kind} 图片" if chinese else f"{_article(image.width)} {size} {kind}"


def _kind(mime: str) -> str:
    """`PNG`, `JPEG`, `WebP` …"""
    return "WebP" if mime == "image/webp" else mime.partition("/")[2].upper()


def _article(number: int) -> str:
    """`an` before eight, eleven, eighteen, eighty …, eleven thousand …"""
    digits = str(number)
    eleven = digits[:2] in ("11", "18") and len(digits) % 3 == 2
    return "an" if digits[0] == "8" or eleven else "a"


def _digest(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()


def _decode(text: str) -> bytes:
    """Bytes of base64 in either alphabet, padded or not, as JSON readers of protocol buffers take it."""
    raw = b"".join(text.encode("utf-8", "surrogatepass").split()).translate(_URL_SAFE).rstrip(b"=")
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except binascii.Error:
        raise _Broken("its data is not valid base64") from None


def _agree(declared: str | None, found: str) -> None:
    """Hold a declared type, which may carry parameters, against the one found."""
    name = (declared or "").partition(";")[0].strip().lower()
    if name and name != UNSEEN and _ALIASES.get(name, name) != found:
        raise _Broken(f"it is declared as {name[:60]} but its bytes are {found}")


def _measure(raw: bytes) -> tuple[str, tuple[int, int]]:
    """Type and (width, height) in pixels."""
    for start, mime, measure in _FORMATS:
        if raw.startswith(start):
            try:
                size = measure(raw)
            except struct.error:
                raise _Broken(f"the {_kind(mime)} is cut short") from None
            if min(size) < 1:
                raise _Broken(f"the {_kind(mime)} has no pixels")
            return mime, size
    raise _Broken("it is empty" if not raw else "it is not a PNG, JPEG, GIF, WebP or BMP picture")


def _require(good: bool, reason: str) -> None:
    if not good:
        raise _Broken(reason)


def _png(raw: bytes) -> tuple[int, int]:
    length, kind, width, height, depth, colour, packing, filters, lace, checksum = struct.unpack_from(
        ">I4sIIBBBBBI", raw, 8
    )
    _require((length, kind) == (13, b"IHDR"), "the PNG does not begin with its header")
    _require(zlib.crc32(raw[12:29]) == checksum, "the checksum of the PNG's header is wrong")
    _require(depth in _PNG_DEPTHS.get(colour, ()), "the PNG has an unknown colour type")
    _require((packing, filters) == (0, 0) and lace < 2, "the PNG has an unknown encoding")
    _require(raw.find(b"IDAT", 33) > 0 and raw.rfind(b"IEND") > 0, "the PNG is cut short")
    return width, height


def _jpeg(raw: bytes) -> tuple[int, int]:
    at = 2
    for _ in range(_SEGMENTS):
        filler, marker = struct.unpack_from(">BB", raw, at)
        _require(filler == 0xFF, "the JPEG has a segment out of place")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", raw, at + 5)
            _require(raw.find(b"\xff\xda", at) > 0 and raw.rfind(b"\xff\xd9") > 0, "the JPEG is cut short")
            return width, height
        _require(marker not in (0xD9, 0xDA), "the JPEG has no frame header")
        at += 2
        if marker != 0x01 and not 0xD0 <= marker <= 0xD7:  # all others carry their length
            length = struct.unpack_from(">H", raw, at)[0]
            _require(length >= 2, "the JPEG has an empty segment")
            at += length
    raise _Broken("the JPEG has no frame header")


def _gif(raw: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", raw, 6)
    _require(raw.find(b",", 13) > 0 and raw.rfind(b";", 13) > 0, "the GIF is cut short")
    return width, height


def _webp(raw: bytes) -> tuple[int, int]:
    size, name, kind = struct.unpack_from("<I4s4s", raw, 4)
    _require(name == b"WEBP", "the RIFF file is not a WebP")
    _require(size + 8 <= len(raw), "the WebP is cut short")
    if kind == b"VP8 ":
        start, width, height = struct.unpack_from("<3sHH", raw, 23)
        _require(start == b"\x9d\x01\x2a", "the WebP has no key frame")
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        start, bits = struct.unpack_from("<BI", raw, 20)
        _require(start == 0x2F, "the WebP's lossless data is damaged")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    _require(kind == b"VP8X", "the WebP holds no picture")
    wide, wider, high, higher = struct.unpack_from("<HBHB", raw, 24)
    return (wide | wider << 16) + 1, (high | higher << 16) + 1


def _bmp(raw: bytes) -> tuple[int, int]:
    start, header = struct.unpack_from("<II", raw, 10)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", raw, 18)
        packing = 0
    else:
        _require(40 <= header <= 124, "the BMP has an unknown header")
        width, height, _, bits, packing = struct.unpack_from("<iiHHI", raw, 18)
    rows = (width * bits + 31) // 32 * 4 * abs(height) if packing == 0 else 1
    _require(start + rows <= len(raw), "the BMP is cut short")
    return width, abs(height)


_FORMATS: tuple[tuple[bytes, str, Callable[[bytes], tuple[int, int]]], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png", _png),
    (b"\xff\xd8\xff", "image/jpeg", _jpeg),
    (b"GIF87a", "image/gif", _gif),
    (b"GIF89a", "image/gif", _gif),
    (b"RIFF", "image/webp", _webp),
    (b"BM", "image/bmp", _bmp),
)
