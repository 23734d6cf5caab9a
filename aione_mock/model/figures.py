"""Who and what is in the picture: figures that stand before the scenery."""

from __future__ import annotations

import math

from aione_mock.model.canvas import Colour, box, disc, mix, polygon
from aione_mock.model.scene import WHITE, Scene, below, rolling

EMBER: Colour = (255, 205, 110)
"""Lamplight."""
_FURS: tuple[tuple[tuple[str, ...], Colour], ...] = (
    (("black", "黑"), (34, 30, 38)),
    (("orange", "ginger", "橘", "橙"), (206, 122, 52)),
    (("grey", "gray", "灰"), (128, 126, 136)),
    (("white", "白"), (226, 222, 214)),
)


def birds(scene: Scene) -> None:
    """A loose flock far off."""
    rng = scene.rng("birds")
    x, y = scene.width * rng.uniform(0.25, 0.6), scene.horizon * rng.uniform(0.2, 0.45)
    for _ in range(9):
        left, top = x + rng.uniform(-18, 18) * scene.unit, y + rng.uniform(-9, 9) * scene.unit
        span = scene.unit * rng.uniform(1.2, 2.6)
        for column in range(-round(span), round(span) + 1):
            at = abs(column) / span
            row = round(top - math.sin(at * math.pi * 0.8) * span * 0.5)
            scene.canvas.fill([(round(left) + column, row, row + max(2, round(scene.unit * 0.35)))], scene.light.near)


def balloon(scene: Scene) -> None:
    """A striped hot-air balloon or two."""
    rng = scene.rng("balloon")
    for size in (12.0, 5.5)[: 1 + rng.randrange(2)]:
        radius = size * scene.unit
        x, y = scene.width * rng.uniform(0.2, 0.8), scene.horizon * rng.uniform(0.3, 0.5)
        colours = rng.choice(
            (
                ((226, 72, 61), (250, 236, 210)),
                ((36, 99, 160), (252, 196, 70)),
                ((240, 132, 52), (70, 60, 120)),
            )
        )
        for column, top, bottom in disc(x, y, radius, radius * 1.08):
            at = (column - x) / radius
            stripe = int((math.asin(max(-1.0, min(1.0, at))) / math.pi + 0.5) * 8.999)
            skirt = y + radius * (1.55 - abs(at) * 1.0) if abs(at) < 0.75 else bottom
            colour = mix(colours[stripe % 2], scene.light.near, 0.12 + 0.25 * max(0.0, at))
            scene.canvas.fill([(column, top, round(max(bottom, skirt)))], colour)
        wide, foot = radius * 0.2, y + radius * 1.8
        for side in (-1, 1):
            rope = ((x + side * wide, y + radius * 1.4), (x + side * wide * 1.1, foot), (x + side * wide * 0.9, foot))
            scene.canvas.fill(polygon(*rope), scene.light.near)
        scene.canvas.fill(box(x - wide, foot, x + wide, foot + radius * 0.28), (92, 58, 34))


def boat(scene: Scene) -> None:
    """A sailing boat on the water, with its reflection."""
    rng, unit = scene.rng("boat"), scene.unit
    x, y = scene.width * rng.choice((0.27, 0.7)), scene.horizon + (scene.height - scene.horizon) * 0.3
    dark, sail = mix(scene.light.near, (60, 30, 20), 0.3), mix(WHITE, scene.light.sky[-1], 0.35)
    scene.canvas.tint(disc(x, y + 3.2 * unit, 12 * unit, 1.6 * unit), scene.light.near, 0.35)
    scene.canvas.fill(box(x - 0.3 * unit, y - 24 * unit, x + 0.3 * unit, y), dark)
    scene.canvas.fill(polygon((x + unit, y - 23 * unit), (x + 10 * unit, y - 2 * unit), (x + unit, y - 2 * unit)), sail)
    front = ((x - unit, y - 20 * unit), (x - 8 * unit, y - 2 * unit), (x - unit, y - 2 * unit))
    scene.canvas.fill(polygon(*front), mix(sail, scene.light.sun, 0.4))
    hull = (
        (x - 11 * unit, y - unit),
        (x + 12.5 * unit, y - unit),
        (x + 8 * unit, y + 3 * unit),
        (x - 7 * unit, y + 3 * unit),
    )
    scene.canvas.fill(polygon(*hull), dark)


def house(scene: Scene) -> None:
    """A cottage with a lamp in its window, and smoke."""
    unit = scene.unit
    x = scene.width * scene.rng("house").choice((0.28, 0.68))
    foot = _knoll(scene, x, 14)
    wall, roof = (
        mix((214, 190, 160), scene.light.near, 0.55 if scene.light.dark else 0.2),
        mix((128, 52, 44), scene.light.near, 0.4),
    )
    for puff in range(5):
        at = (x + (6 + puff * puff * 0.7) * unit, foot - (24 + puff * 4.2) * unit)
        scene.canvas.tint(disc(*at, (1.2 + puff * 0.7) * unit), WHITE, 0.30 - 0.04 * puff)
    scene.canvas.fill(box(x + 4.5 * unit, foot - 22 * unit, x + 7 * unit, foot - 12 * unit), roof)
    scene.canvas.fill(box(x - 10 * unit, foot - 12 * unit, x + 10 * unit, foot + 2 * unit), wall)
    gable = ((x - 12.5 * unit, foot - 11.5 * unit), (x, foot - 22 * unit), (x + 12.5 * unit, foot - 11.5 * unit))
    scene.canvas.fill(polygon(*gable), roof)
    scene.canvas.fill(
        box(x - 1.8 * unit, foot - 7 * unit, x + 1.8 * unit, foot + 2 * unit), mix(roof, scene.light.near, 0.5)
    )
    for left in (-7.5, 4.0):
        scene.canvas.tint(disc(x + (left + 1.8) * unit, foot - 6.5 * unit, 4.5 * unit), EMBER, 0.25)
        scene.canvas.fill(box(x + left * unit, foot - 8.5 * unit, x + (left + 3.6) * unit, foot - 4.5 * unit), EMBER)


def cat(scene: Scene) -> None:
    """A cat that sits with its back straight, tail to one side."""
    rng, unit = scene.rng("cat"), scene.unit * 1.25
    side = rng.choice((-1, 1))
    x = scene.width * (0.5 - 0.2 * side)
    foot = _knoll(scene, x, 9) + unit
    named = [colour for words, colour in _FURS if any(word in scene.text for word in words)]
    fur = mix(rng.choice(named or [colour for _, colour in _FURS]), scene.light.near, 0.3 if scene.light.dark else 0.1)
    for step in range(40):
        at = step / 39
        bend = (x + side * unit * (6 + 10 * at), foot - unit * (1.2 + 7.5 * at**2 + 1.5 * math.sin(at * 5)))
        scene.canvas.fill(disc(*bend, unit * (1.5 - 0.5 * at)), fur)
    scene.canvas.fill(disc(x, foot - 7 * unit, 7.2 * unit, 7.4 * unit), fur)
    scene.canvas.fill(disc(x - side * 0.6 * unit, foot - 13 * unit, 5 * unit, 8 * unit), fur)
    head = (x - side * 1.2 * unit, foot - 22 * unit)
    for ear in (-1, 1):
        tip = (head[0] + ear * 5.2 * unit, head[1] - 8.6 * unit)
        base = (head[0] + ear * 5.3 * unit, head[1] - 0.5 * unit), (head[0] + ear * 0.6 * unit, head[1] - 4.4 * unit)
        scene.canvas.fill(polygon(tip, *base), fur)
        inner = tuple(
            (px + (tip[0] - ear * unit - px) * 0.35, py + (tip[1] + 3 * unit - py) * 0.35) for px, py in (tip, *base)
        )
        scene.canvas.fill(polygon(*inner), mix(fur, (236, 160, 150), 0.4))
    scene.canvas.fill(disc(*head, 6 * unit, 5.3 * unit), fur)
    chest = mix(fur, WHITE, 0.5)
    scene.canvas.fill(disc(head[0], foot - 13.2 * unit, 2.4 * unit, 4.2 * unit), chest)
    for paw in (-2.4, 2.4):
        scene.canvas.fill(disc(head[0] + paw * unit, foot - 0.6 * unit, 2 * unit, 1.3 * unit), chest)
    for eye in (-2.5, 2.5):
        scene.canvas.fill(disc(head[0] + eye * unit, head[1] - 0.4 * unit, 1.35 * unit, 1.5 * unit), (236, 206, 84))
        scene.canvas.fill(disc(head[0] + eye * unit, head[1] - 0.4 * unit, 0.45 * unit, 1.35 * unit), (20, 18, 22))
    nose = (
        (head[0] - 0.8 * unit, head[1] + 1.5 * unit),
        (head[0] + 0.8 * unit, head[1] + 1.5 * unit),
        (head[0], head[1] + 2.5 * unit),
    )
    scene.canvas.fill(polygon(*nose), (222, 130, 130))


def robot(scene: Scene) -> None:
    """A friendly machine with a lamp on its head."""
    rng, unit = scene.rng("robot"), scene.unit
    x = scene.width * rng.choice((0.32, 0.66))
    foot = _knoll(scene, x, 9) + unit
    steel = mix(
        rng.choice(((150, 170, 186), (206, 120, 86), (110, 168, 150))),
        scene.light.near,
        0.3 if scene.light.dark else 0.05,
    )
    dark = mix(steel, (20, 24, 34), 0.6)
    parts = (
        (-5.5, -7, -2, 0, dark), (2, -7, 5.5, 0, dark), (-10.5, -20, -8, -9, dark), (8, -20, 10.5, -9, dark),
        (-8, -22, 8, -6, steel), (-5, -19, 5, -11, mix(steel, WHITE, 0.35)), (-2, -24, 2, -22, dark),
        (-7, -35, 7, -24, steel), (-5.5, -33, 5.5, -27, (22, 26, 38)), (-0.4, -40, 0.4, -35, dark),
    )  # fmt: skip
    for left, top, right, bottom, colour in parts:
        scene.canvas.fill(box(x + left * unit, foot + top * unit, x + right * unit, foot + bottom * unit), colour)
    for eye in (-2.6, 2.6):
        scene.canvas.fill(disc(x + eye * unit, foot - 30 * unit, 1.4 * unit), (110, 236, 220))
    scene.canvas.tint(disc(x, foot - 41 * unit, 3.5 * unit), (255, 120, 90), 0.35)
    scene.canvas.fill(disc(x, foot - 41 * unit, 1.5 * unit), (255, 120, 90))
    for lamp, colour in ((-3, (236, 90, 80)), (0, (240, 200, 80)), (3, (90, 200, 130))):
        scene.canvas.fill(disc(x + lamp * unit, foot - 15 * unit, 1.1 * unit), colour)


def flowers(scene: Scene) -> None:
    """Blossoms over the foreground, larger towards the viewer."""
    rng, unit = scene.rng("flowers"), scene.unit
    petals = ((236, 92, 120), (250, 190, 76), (246, 236, 240), (176, 120, 220), (240, 120, 70))
    for step in range(110):
        share = (step / 110) ** 0.8
        x, y = rng.uniform(0, scene.width), scene.horizon + (scene.height - scene.horizon) * (0.3 + 0.7 * share)
        size, colour = (
            unit * (0.35 + 0.95 * share),
            mix(rng.choice(petals), scene.light.near, 0.35 if scene.light.dark else 0.0),
        )
        scene.canvas.fill(
            box(x - size * 0.12, y, x + size * 0.15, y + size * 3.5), mix((60, 120, 60), scene.light.near, 0.4)
        )
        for petal in range(5):
            angle = petal * math.tau / 5 + share
            scene.canvas.fill(disc(x + math.cos(angle) * size, y + math.sin(angle) * size, size * 0.75), colour)
        scene.canvas.fill(disc(x, y, size * 0.6), (250, 214, 90))


def _knoll(scene: Scene, x: float, size: float) -> float:
    """A hump of ground in the foreground; the row of its surface at `x`."""
    base = scene.height - size * scene.unit
    rows = rolling(scene.rng("knoll"), scene.width, base, 3 * scene.unit)
    scene.canvas.fill(below(rows, scene.height), scene.light.near)
    return rows[min(max(int(x), 0), scene.width - 1)]
