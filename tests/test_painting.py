"""Generated pictures: real PNGs of the right size, the same in every process, and about their prompt."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from aione_mock.determinism import Seed
from aione_mock.exceptions import APIError
from aione_mock.exchange import ImageInput, Picture
from aione_mock.model import figures, painting, scenery, vision
from aione_mock.model.canvas import Canvas
from aione_mock.model.painting import paint
from aione_mock.model.scene import LIGHTS, Scene

SEED = Seed.of(1)
CAT = "A black cat by the sea at sunset"


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("ratio", painting.PIXELS)
@pytest.mark.parametrize("size", painting.SCALES)
def test_every_ratio_and_size(ratio: str, size: str) -> None:
    picture = paint(CAT, SEED, ratio, size)
    image = opened(picture.data)
    assert (image.format, image.mode, picture.mime) == ("PNG", "P", "image/png")
    assert image.size == (picture.width, picture.height) == painting.dimensions(ratio, size)
    assert vision.look(picture.data, picture.mime).width == picture.width
    across, down = map(int, ratio.split(":"))
    assert abs(picture.width / picture.height - across / down) < 0.02 * across / down
    assert len(picture.data) < 3_000_000


def test_known_sizes() -> None:
    assert painting.dimensions("1:1", "1K") == (1024, 1024)
    assert painting.dimensions("16:9", "2K") == (2752, 1536)
    assert painting.dimensions("2:3", "4K") == (3392, 5056)


def test_a_larger_size_is_the_same_picture() -> None:
    small, large = (opened(paint(CAT, SEED, "3:2", size).data).convert("RGB") for size in ("1K", "4K"))
    assert large.resize(small.size, Image.Resampling.NEAREST).tobytes() == small.tobytes()


def test_other_processes_paint_the_same() -> None:
    code = (
        "import hashlib;from aione_mock.determinism import Seed;from aione_mock.model.painting import paint;"
        f"print(hashlib.sha256(paint({CAT!r}, Seed.of(1)).data).hexdigest())"
    )
    expected = hashlib.sha256(paint(CAT, SEED).data).hexdigest()
    for hash_seed in ("0", "77"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == expected


def test_prompt_seed_and_references_change_what_is_drawn() -> None:
    def scene(prompt: str, seed: Seed, *digests: str) -> bytes:
        references = tuple(ImageInput("image/png", 640, 480, digest) for digest in digests)
        return opened(paint(prompt, seed, references=references).data).convert("RGB").crop((0, 0, 1024, 900)).tobytes()

    scenes = [scene(CAT, SEED), scene(CAT + "!", SEED), scene(CAT, Seed.of(2))]
    scenes += [scene(CAT, SEED, "abc"), scene(CAT, SEED, "abd"), scene(CAT, SEED, "abc", "abd")]
    assert len(set(scenes)) == 6


def test_the_file_says_what_it_shows() -> None:
    image = opened(paint("海边的猫\0 🐈", SEED).data)
    assert image.info["Description"] == "海边的猫  🐈"
    assert image.info["Comment"] == f"seed {SEED.key.hex()[:8]}"


def test_the_caption_shows_prompt_and_seed() -> None:
    def strip(prompt: str, seed: Seed, box: tuple[int, int, int, int]) -> bytes:
        return opened(paint(prompt, seed).data).convert("RGB").crop(box).tobytes()

    height = painting.PIXELS["1:1"][1]
    prompt_box, seed_box = (0, height - 90, 1024, height - 50), (600, height - 45, 1024, height)
    assert strip("cat", SEED, prompt_box) == strip("cat", Seed.of(2), prompt_box) != strip("cap", SEED, prompt_box)
    assert strip("cat", SEED, seed_box) == strip("cap", SEED, seed_box) != strip("cat", Seed.of(2), seed_box)


@pytest.mark.parametrize("prompt", ["", "猫" * 5000, "word " * 5000, "\ud800\x00\x1b", "🐈" * 90, "W" * 4000])
def test_odd_prompts_are_painted(prompt: str) -> None:
    assert opened(paint(prompt, SEED, "9:16").data).size == (768, 1376)


@pytest.mark.parametrize(
    "prompt", ["sea", "a plain composition", "snow in the city at night", "planet", "森林里的机器人"]
)
def test_pictures_are_worth_looking_at(prompt: str) -> None:
    image = opened(paint(prompt, SEED).data).convert("RGB")
    colours = image.getcolors(1 << 20)
    assert colours is not None
    assert len(colours) >= 6
    assert max(count for count, _ in colours) < 0.4 * image.width * image.height
    assert ImageOps.grayscale(image).getextrema()[1] > 180


@pytest.mark.parametrize(
    ("prompt", "hour", "expected"),
    [
        ("Ship on the SEA at sunset", "dusk", (scenery.sea, figures.boat)),
        ("海上的船,夜", "night", (scenery.sea, figures.boat)),
        ("cats", None, (scenery.hills, figures.cat)),
        ("大山前的猫", None, (scenery.mountains, figures.cat)),
        ("a category of seasons", None, ()),
        ("moonlight", "night", (scenery.hills,)),
        ("a planet over the city, in the rain", "night", (scenery.planet, scenery.city, scenery.rain)),
        ("clouds and a robot", None, (scenery.clouds, scenery.hills, figures.robot)),
        ("a coffee shop logo", None, ()),
    ],
)
def test_words_choose_what_is_drawn(prompt: str, hour: str | None, expected: tuple[painting.Motif, ...]) -> None:
    assert painting.subjects(prompt) == (hour, expected)


@pytest.mark.parametrize("motif", [draw for draw, _, _ in painting.MOTIFS], ids=lambda draw: draw.__name__)
def test_every_motif_leaves_its_mark(motif: painting.Motif) -> None:
    canvas = Canvas(300, 300)
    scene = Scene(canvas, SEED, LIGHTS["night"][0], 300, 280, 180, (100.0, 60.0))
    scenery.sky(scene)
    before = list(canvas.rows())
    motif(scene)
    assert sum(a != b for a, b in zip(before, canvas.rows(), strict=True)) > 5


@pytest.mark.parametrize(("ratio", "size", "param"), [("7:5", "1K", "aspect_ratio"), ("1:1", "8K", "image_size")])
def test_what_is_not_offered_is_refused(ratio: str, size: str, param: str) -> None:
    with pytest.raises(APIError, match=f"Invalid {param}") as caught:
        paint(CAT, SEED, ratio, size)
    assert (caught.value.name, caught.value.fields) == ("invalid_request", {"param": param})


def test_larger_pictures_cost_more_tokens() -> None:
    for ratio in painting.PIXELS:
        spent = [
            painting.tokens(Picture("image/png", b"", *painting.dimensions(ratio, size))) for size in painting.SCALES
        ]
        assert spent == [1290, 1680, 2520]
    assert painting.tokens(Picture("image/png", b"", 1, 1)) == 1290


@settings(max_examples=15)
@given(st.lists(st.sampled_from([english.split()[0] for _, english, _ in painting.MOTIFS])), st.integers())
def test_any_mixture_can_be_painted(words: list[str], number: int) -> None:
    assert paint(" ".join(words), Seed.of(number), "21:9").data.startswith(b"\x89PNG")
