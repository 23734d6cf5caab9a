"""Read the images of a prompt: type and size from the first bytes, without decoding pixels.

PNG, JPEG, GIF, WebP and BMP are supported. Anything else, an incomplete file, or a file that contradicts its declared
type raises `APIError("invalid_request")`. Images given by address are never fetched.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import zlib
from hashlib import blake2b
from urllib.parse import unquote_to_bytes

import imagesize

from aione_mock.errors import APIError
from aione_mock.types import ImageInput

UNFETCHED_TYPE = "image/*"
"""Media type of an image given by its address."""

_ADDRESS = re.compile(r"(?:https?|gs)://.", re.IGNORECASE)
_DATA_URI = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TYPE_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
}
_FORMAT_NAMES = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WebP",
    "image/bmp": "BMP",
}
_SIGNATURE = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF....WEBP)|(?P<bmp>BM)",
    re.DOTALL,
)
_MAX_HEADER = 1 << 20
"""Bytes within which the size must stand. `imagesize` reads damaged JPEGs byte by byte, so it gets no more."""
_PNG_BIT_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
"""Bit depths that each PNG colour type allows."""


class _InvalidImage(ValueError):
    """Say what is wrong with an image; the message completes the sentence "Invalid image: …"."""


def read_image(data: bytes | str, declared_type: str | None = None, param: str | None = None) -> ImageInput:
    """Read an image given as bytes or as base64 text (either alphabet, padding optional, line breaks allowed).

    `param` is the place in the request that the error names.
    Raises APIError(invalid_request) for bad base64, an invalid image, or one that contradicts its declared type.
    """
    try:
        raw = data if isinstance(data, bytes) else _decode_base64(data)
        mime = _detect_type(raw)
        _check_declared_type(declared_type, mime)
        width, height = _read_size(raw, mime)
    except _InvalidImage as error:
        raise APIError("invalid_request", f"Invalid image: {error}.", fields={"param": param}) from None
    return ImageInput(mime, width, height, _compute_digest(raw))


def read_image_uri(uri: str, param: str | None = None) -> ImageInput:
    """Read an image given as a `data:` URI or as an address (http, https, gs).

    An address is not fetched: its type is `image/*`, its size 0×0, and its digest that of the address.
    Raises APIError(invalid_request) for other schemes and as `read_image` does.
    """
    if _ADDRESS.match(uri):
        return ImageInput(UNFETCHED_TYPE, 0, 0, _compute_digest(uri.encode("utf-8", "surrogatepass")))
    head = _DATA_URI.match(uri)
    if head is None:
        message = "Invalid image: expected a data: URI such as data:image/png;base64,… or an http(s) address."
        raise APIError("invalid_request", message, fields={"param": param})
    payload = unquote_to_bytes(uri[head.end() :].encode("utf-8", "surrogatepass"))
    is_base64 = head[2].lower().endswith(";base64")
    return read_image(payload.decode("latin-1") if is_base64 else payload, head[1], param)


def count_input_image_tokens(image: ImageInput) -> int:
    """Return the prompt tokens of an image by OpenAI's rule for detail `high`, in all protocols: 255 to 1,445.

    The image is scaled to fit 2,048 px square, then to a shorter side of 768 px, and costs 85 plus 170 for each tile
    of 512 px. An image that was not fetched counts as 1,024 px square.
    """
    width, height = image.width or 1024, image.height or 1024
    longer = max(width, height)
    if longer > 2048:
        width, height = width * 2048 // longer, height * 2048 // longer
    shorter = min(width, height)
    if shorter > 768:
        width, height = width * 768 // shorter, height * 768 // shorter
    return 85 + 170 * (max(1, -(-width // 512)) * max(1, -(-height // 512)))


def describe_image(image: ImageInput, language: str = "en") -> str:
    """Return a phrase such as `a 640×480 PNG`, in Chinese where `language` starts with `zh`."""
    chinese = language.startswith("zh")
    if image.mime == UNFETCHED_TYPE:
        return "一张只给出地址、没有打开的图片" if chinese else "a picture whose address I know but have not opened"
    name, size = _FORMAT_NAMES[image.mime], f"{image.width}×{image.height}"
    return f"一张 {size} 的 {name} 图片" if chinese else f"{_choose_article(image.width)} {size} {name}"


def _choose_article(number: int) -> str:
    """Return `an` before eight, eleven, eighteen, eighty …, eleven thousand …, else `a`."""
    digits = str(number)
    eleven = digits[:2] in ("11", "18") and len(digits) % 3 == 2
    return "an" if digits[0] == "8" or eleven else "a"


def _compute_digest(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()


def _decode_base64(text: str) -> bytes:
    """Decode either alphabet, padded or not, as parsers of protocol buffers in JSON do."""
    raw = b"".join(text.encode("utf-8", "surrogatepass").split()).translate(_URL_SAFE_TO_STANDARD).rstrip(b"=")
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except binascii.Error:
        raise _InvalidImage("its data is not valid base64") from None


def _detect_type(raw: bytes) -> str:
    signature = _SIGNATURE.match(raw)
    if signature is None:
        raise _InvalidImage("it is not a PNG, JPEG, GIF, WebP or BMP file" if raw else "it is empty")
    return f"image/{signature.lastgroup}"


def _check_declared_type(declared: str | None, detected: str) -> None:
    """Raise if a declared type, which may have parameters, is not the detected one."""
    name = (declared or "").partition(";")[0].strip().lower()
    if name and name != UNFETCHED_TYPE and _TYPE_ALIASES.get(name, name) != detected:
        raise _InvalidImage(f"it is declared as {name[:60]} but its bytes are {detected}")


def _read_size(raw: bytes, mime: str) -> tuple[int, int]:
    """Return width and height in pixels."""
    if not _is_complete(raw, mime):
        raise _InvalidImage(f"the {_FORMAT_NAMES[mime]} is damaged or incomplete")
    if mime == "image/bmp":
        width, height, _ = _read_bmp_header(raw)
    else:
        width, height = imagesize.get(io.BytesIO(raw[:_MAX_HEADER]), exif_rotation=False)
    if width < 1 or height < 1:
        raise _InvalidImage(f"the {_FORMAT_NAMES[mime]} has no valid width and height")
    return width, height


def _is_complete(raw: bytes, mime: str) -> bool:
    """Return whether the header is intact and the end is there, as far as that shows without decoding."""
    match mime:
        case "image/png":
            intact = raw[8:16] == b"\0\0\0\x0dIHDR" and zlib.crc32(raw[12:29]) == int.from_bytes(raw[29:33], "big")
            return intact and raw[24] in _PNG_BIT_DEPTHS.get(raw[25], ()) and 0 < raw.find(b"IDAT") < raw.rfind(b"IEND")
        case "image/jpeg":
            return 0 < raw.find(b"\xff\xda") < raw.rfind(b"\xff\xd9")  # start of scan, end of image
        case "image/gif":
            return 0 < raw.find(b",", 13) < raw.rfind(b";")  # image separator, trailer
        case "image/webp":
            return int.from_bytes(raw[4:8], "little") + 8 <= len(raw)
        case _:
            return _read_bmp_header(raw)[2] <= len(raw)


def _read_bmp_header(raw: bytes) -> tuple[int, int, int]:
    """Return width, height and the least length of the file. `imagesize` does not know headers of 12 bytes."""
    head = raw[:34].ljust(34, b"\0")
    start, header, compression = struct.unpack("<10xII12xI", head)
    old = header == 12
    width, height, _, bits = struct.unpack_from("<HHHH" if old else "<iiHH", head, 18)
    row = (width * bits + 31) // 32 * 4
    return width, abs(height), start + (row * abs(height) if old or compression == 0 else 1)
