"""Where a picture is being drawn: its light by the hour, its horizon, and the lines that land follows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from aione_mock.determinism import Seed
from aione_mock.model.canvas import Canvas, Colour, Span, mix

if TYPE_CHECKING:
    import random  # noqa: TID251  only the name of the type

WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Light:
    """The colours of an hour of the day."""

    sky: tuple[Colour, ...]
    """From the zenith to the horizon."""
    sun: Colour
    far: Colour
    near: Colour
    """Land at the horizon and close by."""
    deep: Colour
    """Water close by."""
    dark: bool = False


def _light(text: str, dark: bool = False) -> Light:
    """`SKY … / SUN FAR NEAR DEEP` in hexadecimal."""
    sky, _, rest = text.partition("/")
    sun, far, near, deep = map(_colour, rest.split())
    return Light(tuple(map(_colour, sky.split())), sun, far, near, deep, dark)


def _colour(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


LIGHTS: dict[str, tuple[Light, ...]] = {
    "day": (
        _light("2f7fc4 6fb4e3 bfe3f2 eaf6ee / fff6c8 8fbfb4 1f5540 0d4a73"),
        _light("3aa0c9 8fd0dc e3f1dc fdf0cc / fffbe2 b5cba0 2f5d3a 0b5563"),
        _light("4c8fd6 9cc4f0 e4ecf7 fbe9dc / fff2d0 9db3d6 2b4a66 1b4f8a"),
    ),
    "dawn": (
        _light("4a6fa5 a8b8d8 f7d1c4 fff1d6 / fffbe8 b9b4cf 353a5e 3c6488"),
        _light("5b8e9f b0d2c9 fbe7c6 f9c6b0 / fffaf0 c7b8b0 3b4a4f 3b7480"),
        _light("6c5b9c c79ac0 f6b7b0 fee3c4 / fff8e0 b892b4 3a2c55 56558f"),
    ),
    "dusk": (
        _light("2a1a5e 8e2f74 e8623f ffc15e / fff0b8 b4506a 1d1038 23124a"),
        _light("14213d 5a3d7a d9698a ffb88a / ffe6c2 8d5a86 14112e 1c1f4f"),
        _light("3d1f47 b23a48 f4743b fde68a / fff6cf a8434f 2a1220 4a1c3e"),
    ),
    "night": (
        _light("050b1f 0f1d45 24386f 4b5fa0 / f6f2d8 34467a 060a18 071026", dark=True),
        _light("0b0a1e 24164a 4b2a78 8a559e / fbeee0 4f3574 0c0818 120a2c", dark=True),
        _light("03101a 05303c 0e5a5c 3f8f7c / f3fbe4 1c5a5c 031014 04161f", dark=True),
    ),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a picture is being drawn: a canvas, its light, and chance by label."""

    canvas: Canvas
    seed: Seed
    light: Light
    width: int
    height: int
    """Rows above the caption."""
    horizon: int
    sun: tuple[float, float]
    text: str = ""
    """The prompt in lower case, for what depends on its words."""

    @property
    def unit(self) -> float:
        """Pixels of a hundredth of the shorter side."""
        return min(self.width, self.height) / 100

    def rng(self, label: str) -> random.Random:
        """Chance of one element, independent of all others."""
        return self.seed.rng(label)

    def depth(self, share: float) -> Colour:
        """The colour of land between the horizon (0) and the foreground (1)."""
        return mix(self.light.far, self.light.near, share)


def ridge(rng: random.Random, width: int, base: float, height: float, roughness: float) -> list[int]:
    """A row for each column: a line about `base` that rises and falls by `height`; roughness from 0 (smooth) to 1."""
    points = [rng.uniform(-1, 1) for _ in range(5)]
    swing = roughness
    while len(points) * 2 < width:
        middles = [(a + b) / 2 + rng.uniform(-swing, swing) for a, b in pairwise(points)]
        points = [point for pair in zip(points, middles, strict=False) for point in pair] + points[-1:]
        swing *= 0.5
    step = (len(points) - 1) / width
    rows = []
    for x in range(width):
        at = int(x * step)
        rows.append(round(base - height * (points[at] + (points[at + 1] - points[at]) * (x * step - at))))
    return rows


def rolling(rng: random.Random, width: int, base: float, height: float) -> list[int]:
    """A row for each column: soft hills about `base`."""
    waves = [(rng.uniform(0.6, 1.4) * k, rng.uniform(0, math.tau), 1 / k) for k in (1, 2, 3.5)]
    return [
        round(base - height * sum(a * math.sin(math.tau * f * x / width + p) for f, p, a in waves) / 1.8)
        for x in range(width)
    ]


def below(rows: list[int], bottom: int) -> Iterator[Span]:
    """All that lies under a line."""
    return ((x, top, bottom) for x, top in enumerate(rows))
