"""Random values. `Seed` is the only source of chance in the package."""

from __future__ import annotations

import random
import uuid
from hashlib import blake2b

from aione_mock.structs import frozen

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
BASE62 = bytes(ord(_ALPHABET[byte % 62]) for byte in range(256))
"""Table for `bytes.translate` that turns each byte into a letter or a digit."""


@frozen
class Seed:
    """Named, independent streams of chance.

    Every draw is labelled, so adding one shifts no other. The same seed and labels give the
    same value in any process, on any machine, with any `PYTHONHASHSEED`.
    """

    key: bytes

    @classmethod
    def of(cls, value: int | str) -> Seed:
        """The seed that a user names by a number or a word."""
        return cls(blake2b(str(value).encode(), digest_size=16, person=b"aione-mock").digest())

    def digest(self, *labels: str | int | bytes, size: int = 16) -> bytes:
        """`size` (1–64) bytes that depend on the seed and the labels alone."""
        # `ascii` writes a tuple of these types in one way, whatever the version's tables of characters
        return blake2b(ascii(labels).encode(), key=self.key, digest_size=size).digest()

    def keyed_hash(self, label: bytes, raw: bytes, size: int = 16) -> bytes:
        """`size` (1–64) bytes that depend on seed, label (up to 16 bytes) and `raw` alone: a quicker `digest`."""
        return blake2b(raw, key=self.key, digest_size=size, person=label).digest()

    def child(self, *labels: str | int | bytes) -> Seed:
        """An independent seed below this one."""
        return Seed(self.digest(*labels))

    def create_random(self, *labels: str | int | bytes) -> random.Random:
        """A generator of its own for many draws under one label."""
        return random.Random(self.digest(*labels))

    def draw_integer(self, *labels: str | int | bytes) -> int:
        """A whole number of 64 bits."""
        return int.from_bytes(self.digest(*labels, size=8), "big")

    def draw_fraction(self, *labels: str | int | bytes) -> float:
        """A number from 0 up to, not including, 1."""
        return (self.draw_integer(*labels) >> 11) / (1 << 53)

    def draw_token(self, length: int, *labels: str | int | bytes) -> str:
        """`length` (at most 64) letters and digits, as in an id."""
        return base62(self.digest(*labels, size=length))

    def draw_uuid(self, *labels: str | int | bytes) -> str:
        """A version 4 UUID (RFC 9562) drawn from the seed."""
        return str(uuid.UUID(bytes=self.digest(*labels), version=4))


def base62(raw: bytes) -> str:
    """Bytes of chance as letters and digits, one each."""
    return raw.translate(BASE62).decode("ascii")
