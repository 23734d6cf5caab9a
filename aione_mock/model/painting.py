"""Pictures that an image model gives: a small poster drawn from the prompt's words, as a real PNG.

Which things stand in it follows from words in English or Chinese (`MOTIFS`); a prompt without any becomes a
composition of coloured tiles. Below it a strip shows prompt and seed; letters beyond ASCII appear as boxes with
their code points, and the whole prompt lies in the PNG's text chunk `Description`.

`paint` is pure and takes some 20 to 300 ms: call it in a thread (`asyncio.to_thread`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aione_mock.determinism import Seed
from aione_mock.exceptions import APIError
from aione_mock.exchange import ImageInput, Picture
from aione_mock.model import figures, lettering, scenery
from aione_mock.model.canvas import Canvas, Colour, box, clip, disc, polygon
from aione_mock.model.scene import LIGHTS, Scene

PIXELS = {
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
"""Width and height at 1K, as Google gives them for Gemini 3 Pro Image (ai.google.dev); assumed for all five models."""
SCALES = {"1K": 1, "2K": 2, "4K": 4}
"""How many times the sides of `PIXELS` a size has."""
TOKENS = {"1K": 1290, "2K": 1680, "4K": 2520}
"""Completion tokens of one picture: Google's figures for 2.5 Flash Image (1K) and 3.1 Flash Image (2K, 4K); assumed."""

_HOURS = (
    ("night", "night midnight moon moonlight star stars starry dark space galaxy cosmos universe planet aurora",
     "夜 月亮 月光 明月 星空 星星 繁星 银河 太空 宇宙 星球 极光"),
    ("dusk", "dusk sunset evening twilight", "日落 夕阳 黄昏 傍晚 晚霞 落日"),
    ("dawn", "dawn sunrise morning", "日出 黎明 清晨 早晨 朝霞"),
    ("day", "day noon sunny daylight", "白天 中午 晴"),
)  # fmt: skip
Motif = Callable[[Scene], None]
MOTIFS: tuple[tuple[Motif, str, str], ...] = (
    (scenery.planet, "planet space galaxy cosmos universe mars saturn", "星球 太空 宇宙 行星 火星"),
    (scenery.clouds, "cloud sky", "云 天空"),
    (scenery.mountains, "mountain hill alp peak valley volcano summit everest", "山 峰 谷"),
    (scenery.city, "city town street skyline building tower downtown shanghai beijing tokyo london paris",
     "城 街 楼 都市 上海 北京 高塔"),
    (scenery.desert, "desert dune sand sahara", "沙漠 沙丘 戈壁"),
    (scenery.sea, "sea ocean wave beach lake river water coast island harbour harbor boat ship sail",
     "海 湖 河 江 水 浪 岛 船 帆"),
    (scenery.hills, "meadow field grass farm countryside flower garden spring village", "草原 田 花 春 乡 村"),
    (scenery.forest, "forest tree wood park pine jungle", "森林 树 林 公园 松"),
    (figures.birds, "bird seagull eagle crane geese", "鸟 海鸥 鹰 鹤 雁"),
    (figures.balloon, "balloon airship", "气球"),
    (figures.boat, "boat ship sail yacht", "船 帆"),
    (figures.flowers, "flower blossom rose tulip garden spring", "花 春"),
    (figures.house, "house home cottage cabin hut village farm", "屋 房子 小家 村"),
    (figures.robot, "robot android machine", "机器人"),
    (figures.cat, "cat kitten kitty", "猫"),
    (scenery.rain, "rain rainy storm", "雨"),
    (scenery.snow, "snow snowy winter christmas blizzard", "雪 冬"),
)  # fmt: skip
"""Who draws, at which words; in the order of drawing: what comes later stands in front."""
_SKY = {scenery.planet, scenery.clouds}
_GROUND = {scenery.mountains, scenery.city, scenery.desert, scenery.sea, scenery.hills, scenery.forest}
_PALETTES: tuple[tuple[Colour, ...], ...] = tuple(
    tuple((n >> 16, n >> 8 & 255, n & 255) for n in numbers)
    for numbers in (
        (0xF2E8D5, 0x1D3557, 0xE63946, 0xF4A261, 0x2A9D8F, 0x457B9D),
        (0xFFF4E0, 0x2D2A4A, 0xFF6B6B, 0xFFD166, 0x06A77D, 0x6C5B7B),
        (0xF7F3EB, 0x22223B, 0xC9184A, 0xFFB703, 0x219EBC, 0x8ECAE6),
        (0xEFE6DD, 0x231F20, 0xBB4430, 0xF3A712, 0x7EBDC2, 0x3C6E71),
    )
)
_CAPTION: tuple[Colour, ...] = ((18, 20, 28), (244, 240, 228), (150, 156, 170))
"""Ground, prompt and footer."""
_READ = 20_000
"""Characters of a prompt that are looked through for words."""
_DOT = 2
"""Pixels of a dot of the caption."""


def dimensions(aspect_ratio: str, size: str) -> tuple[int, int]:
    """Width and height in pixels.

    Raises APIError(invalid_request) for a ratio or a size that is not offered.
    """
    for value, known, param in ((aspect_ratio, PIXELS, "aspect_ratio"), (size, SCALES, "image_size")):
        if value not in known:
            message = f"Invalid {param} '{value[:40]}': expected one of {', '.join(known)}."
            raise APIError("invalid_request", message, fields={"param": param})
    width, height = PIXELS[aspect_ratio]
    return width * SCALES[size], height * SCALES[size]


def paint(
    prompt_text: str, seed: Seed, aspect_ratio: str = "1:1", size: str = "1K", references: tuple[ImageInput, ...] = ()
) -> Picture:
    """The picture for a prompt: same arguments, same bytes; a larger size is the same picture enlarged.

    Raises APIError(invalid_request) for a ratio or a size that is not offered.
    """
    width, height = dimensions(aspect_ratio, size)
    canvas = Canvas(*PIXELS[aspect_ratio])
    for colour in _CAPTION:  # before the palette fills
        canvas.ink(colour)
    mark = seed.key.hex()[:8]
    lines = 2 if canvas.width >= 1000 else 3
    strip = lines * lettering.LINE * _DOT + 20
    drawn = seed.child("painting", prompt_text, *(image.digest for image in references))
    _draw(canvas, canvas.height - strip, prompt_text[:_READ].lower(), drawn)
    _caption(canvas, strip, lines, prompt_text, _footer(mark, len(references)))
    texts = {"Description": prompt_text[:_READ].replace("\0", " "), "Comment": f"seed {mark}", "Software": "aione-mock"}
    return Picture("image/png", canvas.png(SCALES[size], texts), width, height)


def tokens(picture: Picture) -> int:
    """Completion tokens of a picture by the size it was asked in (`TOKENS`); one of another origin counts as 1K."""
    for size, scale in SCALES.items():
        if (picture.width // scale, picture.height // scale) in PIXELS.values():
            return TOKENS[size]
    return TOKENS["1K"]


def subjects(text: str) -> tuple[str | None, tuple[Motif, ...]]:
    """What a prompt asks for: the hour (None: any) and what to draw, backmost first; both empty: nothing known."""
    text = text[:_READ].lower()
    words = set(re.findall(r"[a-z]+", text))
    motifs = tuple(draw for draw, english, chinese in MOTIFS if _mentions(text, words, english, chinese))
    hour = next((name for name, english, chinese in _HOURS if _mentions(text, words, english, chinese)), None)
    if (motifs or hour) and _GROUND.isdisjoint(motifs):
        sky = tuple(draw for draw in motifs if draw in _SKY)
        motifs = (*sky, scenery.hills, *motifs[len(sky) :])
    return hour, motifs


def _draw(canvas: Canvas, height: int, text: str, seed: Seed) -> None:
    hour, motifs = subjects(text)
    if not motifs:
        _composition(canvas, height, seed)
        return
    scene = _scene(canvas, height, seed, hour or seed.rng("hour").choice(("day", "dawn", "dusk")), text)
    if scenery.snow in motifs:
        scene = scenery.wintry(scene)
    scenery.sky(scene)
    if scene.seed.fraction("cloudy") < 0.6 and not scene.light.dark:
        scenery.clouds(scene)
    for draw in motifs:
        draw(scene)


def _mentions(text: str, words: set[str], english: str, chinese: str) -> bool:
    """Whether a text has one of the words, an English one also in its plural."""
    names = english.split()
    return not words.isdisjoint(names + [f"{name}s" for name in names]) or any(word in text for word in chinese.split())


def _scene(canvas: Canvas, height: int, seed: Seed, hour: str, text: str) -> Scene:
    light = seed.rng("light").choice(LIGHTS[hour])
    horizon = round(height * (0.62 + 0.06 * seed.fraction("horizon")))
    level = {"day": 0.24, "dawn": 0.66, "dusk": 0.74, "night": 0.26}[hour]
    across = 0.22 + 0.56 * seed.fraction("sun")
    return Scene(canvas, seed, light, canvas.width, height, horizon, (canvas.width * across, horizon * level), text)


def _composition(canvas: Canvas, height: int, seed: Seed) -> None:
    """Tiles of discs, quarters, halves and stripes."""
    rng = seed.rng("composition")
    colours = rng.choice(_PALETTES)
    side = min(canvas.width, height) / rng.choice((4, 5, 6))
    for row in range(int(height / side) + 1):
        for column in range(int(canvas.width / side) + 1):
            back, front, third = rng.sample(colours, 3)
            _tile(canvas, rng.randrange(6), rng.randrange(4), column * side, row * side, side, (back, front, third))


def _tile(canvas: Canvas, kind: int, turn: int, x: float, y: float, side: float, colours: tuple[Colour, ...]) -> None:
    back, front, third = colours
    frame = (x, y, x + side, y + side)
    corner = (x + side * (turn & 1), y + side * (turn >> 1))
    middle = (x + side / 2, y + side / 2)
    canvas.fill(box(*frame), back)
    if kind == 0:
        canvas.fill(clip(disc(*corner, side), *frame), front)
        canvas.fill(clip(disc(*corner, side / 2), *frame), third)
    elif kind == 1:
        canvas.fill(disc(*middle, side * 0.42), front)
        canvas.fill(disc(*middle, side * 0.18), third)
    elif kind == 2:
        canvas.fill(clip(disc(corner[0], middle[1], side / 2), *frame), front)
        canvas.fill(clip(disc(x + side - (corner[0] - x), middle[1], side / 4), *frame), third)
    elif kind == 3:
        canvas.fill(
            polygon(corner, (corner[0], 2 * middle[1] - corner[1]), (2 * middle[0] - corner[0], corner[1])), front
        )
    elif kind == 4:
        for stripe in range(4):
            canvas.fill(box(x, y + side * stripe / 4, x + side, y + side * (stripe + 0.5) / 4), front)
    else:
        for ring, colour in enumerate((front, third, front, back)):
            canvas.fill(clip(disc(*corner, side * (1 - ring * 0.25)), *frame), colour)


def _footer(mark: str, references: int) -> str:
    """What stands at the caption's right."""
    if not references:
        return f"seed {mark}"
    return f"{references} reference{'s' if references > 1 else ''}, seed {mark}"


def _caption(canvas: Canvas, strip: int, lines: int, text: str, footer: str) -> None:
    """The strip below: the prompt, wrapped and perhaps cut, and the footer at the end of the last line."""
    top, margin = canvas.height - strip, 16
    canvas.fill(box(0, top, canvas.width, canvas.height), _CAPTION[0])
    room = (canvas.width - 2 * margin) // _DOT
    last = lettering.width(footer)
    rest = " ".join("".join(c if c.isprintable() else " " for c in text[:_READ]).split())
    y = top + 12
    for line in range(lines):
        ends = line == lines - 1
        part = _line(rest, room - (last + 24 if ends else 0), ends)
        lettering.write(canvas, part, margin, y + line * lettering.LINE * _DOT, _DOT, _CAPTION[1])
        rest = rest[len(part) :].lstrip()
    left, y = canvas.width - margin - last * _DOT, y + (lines - 1) * lettering.LINE * _DOT
    lettering.write(canvas, footer, left, y, _DOT, _CAPTION[2])


def _line(text: str, dots: int, ends: bool) -> str:
    """What of a text goes into one line, broken at a blank; where it ends the caption, cut with three dots."""
    part = lettering.fit(text, dots)
    if len(part) == len(text):
        return part
    if ends:
        return lettering.fit(text, dots - lettering.width("...")) + "..."
    return part.rsplit(" ", 1)[0] if " " in part and text[len(part)] != " " else part
