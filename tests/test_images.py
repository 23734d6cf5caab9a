"""Generated pictures: valid PNGs of the requested size, deterministic by seed and prompt."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aione_mock.errors import APIError
from aione_mock.model import images, input_images
from aione_mock.model.images import draw_image
from aione_mock.seed import Seed
from aione_mock.types import ImageInput, Picture

SEED = Seed.of(1)
CAT = "A black cat by the sea at sunset"


def open_png(data: bytes) -> Image.Image:
    """Decode all pixels and check the checksums of all chunks."""
    Image.open(io.BytesIO(data)).verify()
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def read_chunks(data: bytes) -> dict[bytes, bytes]:
    chunks, start = {}, 8
    while start < len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        chunks[kind] = data[start + 8 : start + 8 + length]
        start += length + 12
    return chunks


def read_colours(picture: Picture) -> set[tuple[int, ...]]:
    return {colour for _, colour in open_png(picture.data).convert("RGB").getcolors() or []}


@pytest.mark.parametrize("ratio", images.ASPECT_RATIOS)
@pytest.mark.parametrize("size", images.IMAGE_SIZES)
def test_every_ratio_and_size(ratio: str, size: str) -> None:
    picture = draw_image(CAT, SEED, ratio, size)
    image = open_png(picture.data)
    assert (image.format, image.mode, picture.mime) == ("PNG", "P", "image/png")
    assert image.size == (picture.width, picture.height) == images.compute_dimensions(ratio, size)
    assert input_images.read_image(picture.data, picture.mime).width == picture.width
    across, down = map(int, ratio.split(":"))
    assert abs(picture.width / picture.height - across / down) < 0.02 * across / down
    assert len(picture.data) < 200_000


def test_known_sizes() -> None:
    assert images.compute_dimensions("1:1", "1K") == (1024, 1024)
    assert images.compute_dimensions("16:9", "2K") == (2752, 1536)
    assert images.compute_dimensions("2:3", "4K") == (3392, 5056)


def test_a_larger_size_is_the_same_picture() -> None:
    small, large = (open_png(draw_image(CAT, SEED, "3:2", size).data).convert("RGB") for size in ("1K", "4K"))
    assert large.resize(small.size, Image.Resampling.NEAREST).tobytes() == small.tobytes()


def test_the_pixel_data_is_complete() -> None:
    """Pillow forgives surplus rows, so count the bytes."""
    width, height = images.ASPECT_RATIOS["21:9"]
    pixels = zlib.decompress(read_chunks(draw_image(CAT, SEED, "21:9").data)[b"IDAT"])
    assert len(pixels) == (1 + width // 2) * height


def test_other_processes_draw_the_same() -> None:
    code = (
        "import hashlib;from aione_mock.seed import Seed;from aione_mock.model.images import draw_image;"
        f"print(hashlib.sha256(draw_image({CAT!r}, Seed.of(1)).data).hexdigest())"
    )
    expected = hashlib.sha256(draw_image(CAT, SEED).data).hexdigest()
    for hash_seed in ("0", "77"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == expected


def test_prompt_seed_and_references_change_the_pixels() -> None:
    def pixels(prompt: str, seed: Seed, *digests: str) -> bytes:
        references = tuple(ImageInput("image/png", 640, 480, digest) for digest in digests)
        return open_png(draw_image(prompt, seed, references=references).data).convert("RGB").tobytes()

    drawn = [pixels(CAT, SEED), pixels(CAT + "!", SEED), pixels(CAT, Seed.of(2))]
    drawn += [pixels(CAT, SEED, "abc"), pixels(CAT, SEED, "abd"), pixels(CAT, SEED, "abc", "abd")]
    assert len(set(drawn)) == 6


def test_the_seed_chooses_the_colours() -> None:
    colours = read_colours(draw_image(CAT, SEED))
    assert len(colours) > 10
    assert len(colours | read_colours(draw_image("A dog", SEED))) <= 16
    assert colours.isdisjoint(read_colours(draw_image(CAT, Seed.of(2))))


@pytest.mark.parametrize(
    ("prompt", "chunk", "stored"),
    [
        (CAT, b"tEXt", CAT),
        ("Un café\0 à Zürich", b"tEXt", "Un café  à Zürich"),
        ("海边的猫\0 🐈", b"iTXt", "海边的猫  🐈"),
        ("a lone \ud800 surrogate", b"iTXt", "a lone ? surrogate"),
        ("猫" * 50_000, b"iTXt", "猫" * 20_000),
    ],
)
def test_text_chunks_hold_prompt_and_seed(prompt: str, chunk: bytes, stored: str) -> None:
    data = draw_image(prompt, SEED).data
    assert chunk + b"Description\0" in data
    image = open_png(data)
    assert image.info["Description"] == stored
    assert image.info["Comment"] == f"seed {SEED.key.hex()[:8]}"


@settings(max_examples=30)
@given(st.text(st.characters()), st.integers(), st.sampled_from(sorted(images.ASPECT_RATIOS)))
def test_any_prompt_gives_a_valid_picture(prompt: str, number: int, ratio: str) -> None:
    assert open_png(draw_image(prompt, Seed.of(number), ratio).data).size == images.ASPECT_RATIOS[ratio]


def test_a_4k_picture_is_quick() -> None:
    def measure() -> float:
        start = time.perf_counter()
        draw_image(CAT, SEED, "1:1", "4K")
        return time.perf_counter() - start

    assert min(measure() for _ in range(5)) < 0.3


@pytest.mark.parametrize(("ratio", "size", "param"), [("7:5", "1K", "aspect_ratio"), ("1:1", "8K", "image_size")])
def test_a_ratio_or_size_that_is_not_offered_is_refused(ratio: str, size: str, param: str) -> None:
    with pytest.raises(APIError, match=f"Invalid {param}") as caught:
        draw_image(CAT, SEED, ratio, size)
    assert (caught.value.name, caught.value.fields) == ("invalid_request", {"param": param})


def test_larger_pictures_cost_more_tokens() -> None:
    for ratio in images.ASPECT_RATIOS:
        pictures = [Picture("image/png", b"", *images.compute_dimensions(ratio, size)) for size in images.IMAGE_SIZES]
        assert [images.count_image_tokens(picture) for picture in pictures] == [1290, 1680, 2520]
    assert images.count_image_tokens(Picture("image/png", b"", 1, 1)) == 1290
