"""Random values. `Seed` is the only source of randomness in the package."""

from __future__ import annotations

import os
import random
import uuid
from hashlib import blake2b

from aione_mock.errors import ConfigError
from aione_mock.structs import frozen

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
BASE62 = bytes(ord(_ALPHABET[byte % 62]) for byte in range(256))
"""Table for `bytes.translate` that maps each byte to a letter or a digit."""


@frozen
class Seed:
    """A source of random values.

    Every draw has labels, so adding a draw changes no other. The same seed and labels give the same value in any
    process, on any machine, with any `PYTHONHASHSEED`.
    """

    key: bytes

    @classmethod
    def of(cls, value: int | str) -> Seed:
        """Create the seed that a user names by a number or a word."""
        return cls(blake2b(str(value).encode(), digest_size=16, person=b"aione-mock").digest())

    def digest(self, *labels: str | int | bytes, size: int = 16) -> bytes:
        """Return `size` (1–64) bytes that depend only on the seed and the labels."""
        # `ascii` gives the same text in every version of Python, `repr` does not
        return blake2b(ascii(labels).encode(), key=self.key, digest_size=size).digest()

    def keyed_hash(self, label: bytes, raw: bytes, size: int = 16) -> bytes:
        """Return `size` (1–64) bytes for a label of at most 16 bytes and `raw`. Faster than `digest`."""
        return blake2b(raw, key=self.key, digest_size=size, person=label).digest()

    def child(self, *labels: str | int | bytes) -> Seed:
        """Derive an independent seed."""
        return Seed(self.digest(*labels))

    def create_random(self, *labels: str | int | bytes) -> random.Random:
        """Create a random number generator for many draws under one label."""
        return random.Random(self.digest(*labels))

    def draw_integer(self, *labels: str | int | bytes) -> int:
        """Return an unsigned 64-bit integer."""
        return int.from_bytes(self.digest(*labels, size=8), "big")

    def draw_fraction(self, *labels: str | int | bytes) -> float:
        """Return a number from 0 up to, not including, 1."""
        return (self.draw_integer(*labels) >> 11) / (1 << 53)

    def draw_token(self, length: int, *labels: str | int | bytes) -> str:
        """Return `length` (at most 64) letters and digits, as in an id."""
        return encode_base62(self.digest(*labels, size=length))

    def draw_uuid(self, *labels: str | int | bytes) -> str:
        """Return a version 4 UUID (RFC 9562)."""
        return str(uuid.UUID(bytes=self.digest(*labels), version=4))


def encode_base62(raw: bytes) -> str:
    """Encode random bytes as letters and digits, one for each byte."""
    return raw.translate(BASE62).decode("ascii")


def make_unique_id() -> str:
    """Return an id that no other process has. It must reach no answer, which would differ in every run."""
    return os.urandom(8).hex()


def check_seed(text: str) -> str:
    """Return a seed as given by a user. Raise ConfigError if it is empty, too long or no text."""
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise ConfigError("a seed is a number or a word of at most 200 characters, such as --seed 7")
    return text
