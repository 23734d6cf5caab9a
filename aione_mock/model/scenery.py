"""What can stand in a picture: skies, land, water and weather, each a function that draws on a `Scene`.

Lengths are in units of a hundredth of the picture's shorter side, `Scene.unit` pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aione_mock.model.canvas import Colour, Span, box, disc, mix, peak, shade
from aione_mock.model.scene import WHITE, Scene, below, ridge, rolling
from aione_mock.values import replace

if TYPE_CHECKING:
    import random  # noqa: TID251  only the name of the type


def sky(scene: Scene) -> None:
    """The gradient from the zenith down, and the sun or moon in it."""
    scene.canvas.gradient(0, scene.height, [*scene.light.sky, scene.light.sky[-1]], 36)
    if scene.light.dark:
        _stars(scene)
    x, y = scene.sun
    radius = (7 if scene.light.dark else 9) * scene.unit
    for size, share in ((3.6, 0.10), (2.4, 0.14), (1.55, 0.20)):
        scene.canvas.tint(disc(x, y, radius * size), scene.light.sun, share)
    scene.canvas.fill(disc(x, y, radius), scene.light.sun)
    if scene.light.dark:
        for dx, dy, size in ((-0.3, -0.2, 0.24), (0.35, 0.25, 0.17), (-0.1, 0.5, 0.12), (0.3, -0.45, 0.1)):
            crater = disc(x + dx * radius, y + dy * radius, size * radius)
            scene.canvas.fill(crater, mix(scene.light.sun, scene.light.sky[1], 0.14))


def _stars(scene: Scene) -> None:
    rng, size = scene.rng("stars"), max(1, round(scene.unit * 0.16))
    for _ in range(220):
        x, y = rng.randrange(scene.width), int(rng.random() ** 1.4 * scene.horizon)
        big = size + (rng.random() < 0.12) * size
        colour = mix(shade(scene.light.sky, y / scene.height), WHITE, rng.choice((0.35, 0.6, 0.9)))
        scene.canvas.fill(box(x, y, x + big, y + big), colour)


def planet(scene: Scene) -> None:
    """A banded world with a ring."""
    rng, radius = scene.rng("planet"), 19 * scene.unit
    x, y = scene.width - scene.sun[0], scene.height * 0.34
    hue = rng.choice(((214, 138, 92), (96, 160, 190), (188, 110, 150)))
    ring = mix(hue, WHITE, 0.55)
    scene.canvas.fill(disc(x, y, radius), hue)
    for band in range(-4, 5):
        rows = (y + band * radius * 0.22, y + (band + rng.uniform(0.3, 0.8)) * radius * 0.22)
        stripe = ((c, max(a, round(rows[0])), min(b, round(rows[1]))) for c, a, b in disc(x, y, radius))
        scene.canvas.fill(stripe, mix(hue, scene.light.sky[0] if band % 2 else WHITE, 0.22))
    _dusk_on(scene, x, y, radius)
    for column in range(round(x - radius * 1.9), round(x + radius * 1.9)):
        at = (column - x) / (radius * 1.9)
        arc = math.sqrt(max(0.0, 1 - at * at)) * radius * 0.42
        tilt = at * radius * -0.5
        behind = abs(column - x) < radius
        scene.canvas.fill([(column, round(y + tilt + arc * 0.72), round(y + tilt + arc))], ring)
        if not behind or abs(tilt - arc) > math.sqrt(max(0.0, radius**2 - (column - x) ** 2)):
            scene.canvas.fill([(column, round(y + tilt - arc), round(y + tilt - arc * 0.72))], ring)


def _dusk_on(scene: Scene, x: float, y: float, radius: float) -> None:
    """The night side of a globe: what a disc shifted towards the light leaves over."""
    lit = {column: (top, bottom) for column, top, bottom in disc(x - radius * 0.35, y - radius * 0.2, radius * 1.1)}
    spans: list[Span] = []
    for column, top, bottom in disc(x, y, radius):
        upper, lower = lit.get(column, (bottom, bottom))
        spans += [(column, top, min(upper, bottom)), (column, max(lower, top), bottom)]
    scene.canvas.tint(spans, scene.light.sky[0], 0.5)


def clouds(scene: Scene) -> None:
    """Flat-bottomed heaps, translucent."""
    rng = scene.rng("clouds")
    colour = mix(scene.light.sun, scene.light.sky[-1], 0.3)
    for _ in range(4 + rng.randrange(3)):
        x, y, size = (
            rng.uniform(0, scene.width),
            rng.uniform(0.08, 0.7) * scene.horizon,
            rng.uniform(5, 10) * scene.unit,
        )
        tops: dict[int, int] = {}
        for puff in range(-2, 3):
            radius = size * (1.0 - abs(puff) * 0.24) * rng.uniform(0.8, 1.15)
            for column, top, _ in disc(x + puff * size * 0.85, y, radius, radius * 0.62):
                tops[column] = min(top, tops.get(column, top))
        scene.canvas.tint(((column, top, round(y)) for column, top in tops.items()), colour, 0.45)


def mountains(scene: Scene) -> None:
    """Four ranges, paler with distance, the farthest with snow."""
    for layer in range(4):
        rng = scene.rng(f"mountains{layer}")
        lift = (0.36, 0.22, 0.11, 0.02)[layer] * scene.horizon
        rows = ridge(rng, scene.width, scene.horizon - lift, scene.horizon * (0.17 - 0.03 * layer), 0.75)
        colour = scene.depth((0.0, 0.3, 0.55, 0.78)[layer])
        scene.canvas.fill(below(rows, scene.height), colour)
        if layer < 2:
            _snow_caps(scene, rows, rng, mix(colour, WHITE, 0.7 if not scene.light.dark else 0.35))


def _snow_caps(scene: Scene, rows: list[int], rng: random.Random, colour: Colour) -> None:
    """White above a ragged line a little below the summits."""
    limit = min(rows) + (max(rows) - min(rows)) * 0.32
    edge = ridge(rng, scene.width, limit, 3.5 * scene.unit, 0.9)
    caps = ((x, top, min(edge[x], top + round(9 * scene.unit))) for x, top in enumerate(rows))
    scene.canvas.fill(caps, colour)


def hills(scene: Scene) -> None:
    """Soft green or dark swells to the foreground."""
    for layer in range(4):
        base = scene.horizon + (scene.height - scene.horizon) * layer * 0.27
        rows = rolling(scene.rng(f"hills{layer}"), scene.width, base, 5 * scene.unit)
        scene.canvas.fill(below(rows, scene.height), scene.depth(0.15 + 0.27 * layer))


def desert(scene: Scene) -> None:
    """Dunes with a sunny and a shady side."""
    sand = mix((222, 170, 104), scene.light.near, 0.72 if scene.light.dark else 0.12)
    for layer in range(4):
        base = scene.horizon + (scene.height - scene.horizon) * layer * 0.26
        rows = rolling(scene.rng(f"desert{layer}"), scene.width, base, (5 + 2 * layer) * scene.unit)
        colour = mix(mix(sand, scene.light.sky[-1], 0.5), sand, layer / 3)
        scene.canvas.fill(below(rows, scene.height), colour)
        lee = rolling(scene.rng(f"lee{layer}"), scene.width, base + 3 * scene.unit, (8 + 2 * layer) * scene.unit)
        shady = [max(row, other) for row, other in zip(rows, lee, strict=True)]
        scene.canvas.fill(below(shady, scene.height), mix(colour, scene.light.near, 0.22))


def city(scene: Scene) -> None:
    """Three rows of towers with windows, lit after dark."""
    for layer, (low, high) in enumerate(((0.30, 0.62), (0.18, 0.50), (0.06, 0.32))):
        rng, x = scene.rng(f"city{layer}"), -2 * scene.unit
        while x < scene.width:
            wide = scene.unit * rng.uniform(6, 13)
            _tower(scene, rng, layer, x, wide, scene.horizon * (1 - rng.uniform(low, high)))
            x += wide + scene.unit * rng.choice((0, 0, 0.6, 2.5))
    ground = scene.depth(0.95)
    scene.canvas.fill(box(0, scene.horizon, scene.width, scene.height), ground)
    for lane in range(3):
        y = scene.horizon + (scene.height - scene.horizon) * (0.12 + 0.3 * lane)
        scene.canvas.fill(
            box(0, y, scene.width, y + (0.5 + lane * 0.5) * scene.unit), mix(ground, scene.light.sun, 0.18)
        )


def _tower(scene: Scene, rng: random.Random, layer: int, x: float, wide: float, top: float) -> None:
    colour, unit = scene.depth(0.25 + 0.3 * layer), scene.unit
    scene.canvas.fill(box(x, top, x + wide, scene.height), colour)
    crown = rng.randrange(4)
    if crown == 0:
        scene.canvas.fill(box(x + wide * 0.47, top - 7 * unit, x + wide * 0.53, top), colour)
    elif crown == 1:
        scene.canvas.fill(peak(x + wide / 2, top - 4 * unit, top, wide / 2), colour)
    elif crown == 2:
        scene.canvas.fill(box(x + wide * 0.2, top - 2 * unit, x + wide * 0.8, top), colour)
    lit = (
        mix(colour, (255, 214, 128), 0.85 - 0.2 * (2 - layer))
        if scene.light.dark
        else mix(colour, scene.light.sun, 0.5)
    )
    dim = mix(colour, scene.light.sky[1], 0.25)
    share, pane = (0.5 if scene.light.dark else 0.3), 1.15 * unit
    for column in range(int((wide - pane) / (pane * 1.75))):
        left = x + pane * 0.8 + column * pane * 1.75
        panes = [top + 1.6 * unit + row * pane * 2 for row in range(int((scene.horizon - top) / (pane * 2)) - 1)]
        bright = [y for y in panes if rng.random() < share]
        scene.canvas.fill((s for y in bright for s in box(left, y, left + pane, y + pane * 1.25)), lit)
        scene.canvas.fill(
            (s for y in panes if y not in bright for s in box(left, y, left + pane, y + pane * 1.25)), dim
        )


def forest(scene: Scene) -> None:
    """Firs in three rows, over hills."""
    ground = scene.height - scene.horizon
    for layer in range(3):
        rng = scene.rng(f"forest{layer}")
        rows = rolling(rng, scene.width, scene.horizon + ground * (0.05, 0.32, 0.68)[layer], 2.5 * scene.unit)
        colour = mix(scene.depth(0.3 + 0.32 * layer), (20, 60, 44), 0.3)
        scene.canvas.fill(below(rows, scene.height), colour)
        x = 0.0
        while x < scene.width:
            size = scene.unit * (9, 14, 21)[layer] * rng.uniform(0.65, 1.15)
            _fir(scene, x, rows[int(x)] + scene.unit, size, mix(colour, scene.light.near, rng.uniform(0, 0.35)))
            x += size * rng.uniform(0.25, 0.6)


def _fir(scene: Scene, x: float, foot: float, size: float, colour: Colour) -> None:
    for apex, end, half in ((1.0, 0.55, 0.17), (0.78, 0.3, 0.24), (0.52, 0.05, 0.32)):
        scene.canvas.fill(peak(x, foot - apex * size, foot - end * size, half * size), colour)
    scene.canvas.fill(box(x - size * 0.03, foot - 0.08 * size, x + size * 0.03, foot + size * 0.05), colour)


def sea(scene: Scene) -> None:
    """Water to the horizon, the sun's track on it, and crests."""
    light, unit, rng = scene.light, scene.unit, scene.rng("sea")
    shine = mix(light.sky[-1], light.deep, 0.25)
    scene.canvas.gradient(scene.horizon, scene.height, (shine, mix(shine, light.deep, 0.7), light.deep), 28)
    depth = scene.height - scene.horizon
    for step in range(46):
        share = (step + rng.random()) / 46
        y, half = scene.horizon + share * depth, unit * (2 + 13 * share) * rng.uniform(0.4, 1.2)
        x = scene.sun[0] + rng.uniform(-1, 1) * unit * (1 + 7 * share)
        scene.canvas.tint(disc(x, y, half, unit * (0.25 + 0.55 * share)), light.sun, 0.6 - 0.2 * share)
    crest = mix(light.sky[-1], WHITE, 0.3)
    for _ in range(90):
        share = rng.random()
        x, y, half = (
            rng.uniform(0, scene.width),
            scene.horizon + share * depth,
            unit * (1 + 7 * share) * rng.uniform(0.5, 1),
        )
        scene.canvas.tint(disc(x, y, half, unit * (0.12 + 0.35 * share)), crest, 0.16)


def rain(scene: Scene) -> None:
    """Slanting streaks over everything."""
    rng = scene.rng("rain")
    scene.canvas.tint(box(0, 0, scene.width, scene.height), mix(scene.light.sky[0], (110, 120, 130), 0.6), 0.28)
    for _ in range(170):
        x, y, size = rng.uniform(0, scene.width), rng.uniform(-5, scene.height), rng.uniform(3, 7) * scene.unit
        streak = [(round(x) - n, round(y + 3 * n), round(y + 3 * n + 4)) for n in range(round(size / 3))]
        scene.canvas.tint(((c, min(a, scene.height), min(b, scene.height)) for c, a, b in streak), WHITE, 0.35)


def wintry(scene: Scene) -> Scene:
    """The same place under snow."""
    white = mix(scene.light.sky[-1], WHITE, 0.5)
    light = replace(scene.light, far=mix(scene.light.far, white, 0.35), near=mix(scene.light.near, white, 0.3))
    return replace(scene, light=light)


def snow(scene: Scene) -> None:
    """Flakes, near and far."""
    rng = scene.rng("snow")
    for _ in range(260):
        radius = rng.choice((0.25, 0.4, 0.6, 0.9)) * scene.unit
        x, y = rng.uniform(0, scene.width), rng.uniform(0, scene.height)
        scene.canvas.fill(disc(x, y, max(1.0, radius)), mix(scene.light.sky[-1], WHITE, 0.85))
