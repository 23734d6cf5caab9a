"""Undo the content encodings of recorded bodies, so that credentials in them can be masked."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from aione_mock.types import Headers

Chunks = Sequence[tuple[float, bytes]]
"""Pieces of a body with the seconds at which they arrived."""
_DECODABLE = ("gzip", "x-gzip", "deflate")
_MAX_DECODED_BYTES = 64 << 20


def list_encodings(headers: Headers) -> list[str]:
    """Return the content encodings of a message in the order in which they were applied."""
    values = ",".join([value for name, value in headers if name == "content-encoding"]).split(",")
    return [name for value in values if (name := value.strip().lower()) not in ("", "identity")]


def decode_chunks(chunks: Chunks, encodings: Sequence[str]) -> Chunks | None:
    """Return a body without its encodings; None if it cannot be decoded, or to more than 64 MiB."""
    if any(name not in _DECODABLE for name in encodings):
        return None
    # recognizes gzip and zlib
    decoders = [zlib.decompressobj(zlib.MAX_WBITS | 32) for _ in encodings]
    decoded, size = [], 0
    try:
        for at, data in chunks:
            for decoder in decoders:
                data = decoder.decompress(data, _MAX_DECODED_BYTES - size)
                if decoder.unconsumed_tail:
                    return None
            decoded.append((at, data))
            size += len(data)
    except (zlib.error, ValueError):
        return None
    return decoded
