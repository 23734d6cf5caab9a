"""Images in a prompt: type, size, token cost, and the refusal of invalid files."""

from __future__ import annotations

import base64
import io
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aione_mock.errors import APIError
from aione_mock.model import input_images
from aione_mock.types import ImageInput

MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp", "BMP": "image/bmp"}


def encode_image(kind: str, width: int = 64, height: int = 48, mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).convert(mode).save(out, kind, **options)
    return out.getvalue()


FILES = {
    "png": encode_image("PNG"),
    "png-palette": encode_image("PNG", mode="P"),
    "jpeg": encode_image("JPEG"),
    "jpeg-progressive": encode_image("JPEG", progressive=True),
    "jpeg-exif": encode_image("JPEG", exif=b"Exif\0\0" + b"\xff" * 60000),
    "gif": encode_image("GIF", mode="P"),
    "webp-lossy": encode_image("WEBP"),
    "webp-lossless": encode_image("WEBP", lossless=True),
    "webp-extended": encode_image("WEBP", mode="RGBA", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "bmp": encode_image("BMP"),
}
SCAN = b"\xff\xda\0\x08\xff\xd9"
"""Start of scan and end of image of a JPEG, without a frame header before them."""


def refusal(data: bytes | str, declared: str | None = None) -> str:
    with pytest.raises(APIError) as caught:
        input_images.read_image(data, declared, "messages[0]")
    assert (caught.value.name, caught.value.fields) == ("invalid_request", {"param": "messages[0]"})
    return caught.value.message


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_measured(name: str) -> None:
    mime = MIMES[name.partition("-")[0].upper()]
    image = input_images.read_image(FILES[name], mime)
    assert (image.mime, image.width, image.height) == (mime, 64, 48)
    assert input_images.read_image(base64.b64encode(FILES[name]).decode()) == image


def test_the_kinds_of_webp_are_all_there() -> None:
    assert [FILES[f"webp-{kind}"][12:16] for kind in ("lossy", "lossless", "extended")] == [b"VP8 ", b"VP8L", b"VP8X"]


@given(st.sampled_from(sorted(MIMES)), st.integers(1, 700), st.integers(1, 700))
def test_sizes_are_right(kind: str, width: int, height: int) -> None:
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, kind)
    image = input_images.read_image(out.getvalue())
    assert (image.mime, image.width, image.height) == (MIMES[kind], width, height)


def test_a_bmp_may_stand_upside_down_and_be_old() -> None:
    flipped = bytearray(FILES["bmp"])
    struct.pack_into("<i", flipped, 22, -48)
    assert input_images.read_image(bytes(flipped)).height == 48
    core = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + struct.pack("<IHHHH", 12, 2, 3, 1, 24) + bytes(24)
    assert (input_images.read_image(core).width, input_images.read_image(core).height) == (2, 3)


def test_the_digest_is_that_of_the_bytes() -> None:
    text = base64.urlsafe_b64encode(FILES["webp-lossy"]).decode().rstrip("=")
    wrapped = f"{text[:40]}\r\n{text[40:]}"
    same = {input_images.read_image(data) for data in (FILES["webp-lossy"], text, wrapped)}
    assert len(same) == 1
    assert input_images.read_image(FILES["webp-lossless"]).digest not in {image.digest for image in same}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        ("", "it is empty"),
        ("abc!", "not valid base64"),
        ("abcde", "not valid base64"),
        ("aGVsbG8gd29ybGQ=", "not a PNG, JPEG, GIF, WebP or BMP"),
        (FILES["png"][:20], "the PNG is damaged or incomplete"),
        (FILES["png"][:60], "the PNG is damaged or incomplete"),
        (FILES["png"][:16] + b"\0\0\0\x01" + FILES["png"][20:], "the PNG is damaged or incomplete"),
        (FILES["jpeg"][:200], "the JPEG is damaged or incomplete"),
        (FILES["jpeg"][:-2], "the JPEG is damaged or incomplete"),
        (b"\xff\xd8" + b"\xff" * 100_000 + SCAN, "the JPEG has no valid width and height"),
        (b"\xff\xd8\xff\xe0\0\0" + SCAN, "the JPEG has no valid width and height"),
        (b"\xff\xd8" + SCAN, "the JPEG has no valid width and height"),
        (b"\xff\xd8" + SCAN[:-2], "the JPEG is damaged or incomplete"),
        (FILES["gif"][:13], "the GIF is damaged or incomplete"),
        (FILES["webp-lossy"][:-9], "the WebP is damaged or incomplete"),
        (b"RIFF\x04\0\0\0WAVE" + bytes(40), "not a PNG, JPEG, GIF, WebP or BMP"),
        (FILES["bmp"][:-9], "the BMP is damaged or incomplete"),
        (b"GIF89a\0\0\0\0" + b",;" * 9, "the GIF has no valid width and height"),
    ],
)
def test_broken_images_are_refused(data: bytes | str, message: str) -> None:
    assert message in refusal(data)


def test_a_long_damaged_jpeg_is_refused_quickly() -> None:
    for filler in (b"\0", b"\xff", b"\xff\x01"):
        data = b"\xff\xd8\xff" + filler * (8_000_000 // len(filler)) + SCAN
        start = time.perf_counter()
        assert "no valid width and height" in refusal(data)
        assert time.perf_counter() - start < 2


def test_a_png_of_an_impossible_kind_is_refused() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 4, 4, 16, 3, 0, 0, 0)
    png = FILES["png"][:12] + header + struct.pack(">I", zlib.crc32(header)) + FILES["png"][33:]
    assert "the PNG is damaged" in refusal(png)


@pytest.mark.parametrize("declared", [None, "", "image/jpeg", "IMAGE/JPG", "image/jpeg; q=1", "image/*"])
def test_types_that_agree(declared: str | None) -> None:
    assert input_images.read_image(FILES["jpeg"], declared).mime == "image/jpeg"


@pytest.mark.parametrize("declared", ["image/png", "application/pdf", "text/plain"])
def test_types_that_contradict(declared: str) -> None:
    assert f"declared as {declared} but its bytes are image/jpeg" in refusal(FILES["jpeg"], declared)


def test_data_uris() -> None:
    text = base64.b64encode(FILES["png"]).decode()
    image = input_images.read_image(FILES["png"])
    percent = "".join(f"%{byte:02x}" for byte in FILES["png"])
    for uri in (
        f"data:image/png;base64,{text}",
        f"DATA:image/png;name=a.png;BASE64,{text.replace('+', '%2B')}",
        f"data:;base64,{text}",
        f"data:image/png,{percent}",
    ):
        assert input_images.read_image_uri(uri, "p") == image


@pytest.mark.parametrize(
    "uri", ["", "hello", "ftp://a/b.png", "data:image/png;base64", "file:///etc/passwd", "https://"]
)
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(APIError, match="expected a data: URI"):
        input_images.read_image_uri(uri, "p")


def test_an_address_is_not_fetched() -> None:
    image = input_images.read_image_uri("https://192.0.2.1/cat.png", "p")
    assert (image.mime, image.width, image.height) == ("image/*", 0, 0)
    assert image != input_images.read_image_uri("https://192.0.2.1/dog.png", "p")
    assert "have not opened" in input_images.describe_image(image)
    assert "没有打开" in input_images.describe_image(image, "zh-CN")


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1, 1, 255),
        (512, 512, 255),
        (513, 512, 425),
        (1024, 1024, 765),
        (2048, 4096, 1105),
        (4096, 2048, 1105),
        (0, 0, 765),
        (1, 2**31 - 1, 765),
    ],
)
def test_tokens_by_the_rule_of_tiles(width: int, height: int, expected: int) -> None:
    assert input_images.count_input_image_tokens(ImageInput("image/png", width, height, "")) == expected


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_tokens_are_bounded(width: int, height: int) -> None:
    assert 255 <= input_images.count_input_image_tokens(ImageInput("image/png", width, height, "")) <= 1445


@pytest.mark.parametrize(
    ("mime", "width", "language", "text"),
    [
        ("image/png", 640, "en", "a 640×480 PNG"),
        ("image/webp", 800, "en", "an 800×480 WebP"),
        ("image/jpeg", 1100, "en", "a 1100×480 JPEG"),
        ("image/jpeg", 18000, "en", "an 18000×480 JPEG"),
        ("image/png", 640, "zh", "一张 640×480 的 PNG 图片"),
    ],
)
def test_descriptions(mime: str, width: int, language: str, text: str) -> None:
    assert input_images.describe_image(ImageInput(mime, width, 480, ""), language) == text


@given(
    st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255))), st.integers(0, 4000)
)
def test_damaged_files_are_measured_or_refused(name: str, changes: list[tuple[int, int]], length: int) -> None:
    raw = bytearray(FILES[name])
    for at, value in changes:
        raw[at % len(raw)] = value
    assert_judged(bytes(raw[: length or None]))


@given(st.sampled_from([b"", *(raw[:12] for raw in FILES.values())]), st.binary(max_size=200))
def test_hostile_bytes_are_measured_or_refused(start: bytes, rest: bytes) -> None:
    assert_judged(start + rest)


@given(st.text())
def test_hostile_texts_are_refused(text: str) -> None:
    for uri in (text, f"data:{text}", f"data:image/png;base64,{text}"):
        with pytest.raises(APIError):
            input_images.read_image_uri(uri, "p")


def assert_judged(raw: bytes) -> None:
    try:
        image = input_images.read_image(raw)
    except APIError as error:
        judgement = error.message
    else:
        judgement = f"Invalid image: {min(image.width, image.height)}"
    assert judgement.startswith("Invalid image: ")
    assert judgement != "Invalid image: 0"
