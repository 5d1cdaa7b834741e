"""Image headers, read without decoding: the same as Pillow reads, and hostile bytes harm nobody."""

import io
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.dataset.profiles.images.header import Header
from services.dataset.profiles.images.recognise import image_headers, read_header

SIZE = (37, 23)


def encoded(form: str, mode: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    numbers = np.random.default_rng(0)
    image = Image.fromarray(numbers.integers(0, 255, (SIZE[1], SIZE[0], 4), dtype=np.uint8), "RGBA")
    converted = image if mode == "RGBA" else image.convert("RGB").convert(mode)
    converted.save(buffer, form, **options)
    return buffer.getvalue()


IMAGES = [
    *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    ("PNG", "RGB", {"optimize": True}),
    *(("JPEG", mode, {}) for mode in ("L", "RGB", "CMYK")),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "RGB", {"restart_marker_blocks": 2, "comment": b"hello \xff\xd9 there"}),
    ("GIF", "P", {}),
    *(("BMP", mode, {}) for mode in ("P", "RGB")),
    *(("WEBP", mode, {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (True, False)),
    ("WEBP", "RGB", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
    *(("TIFF", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    *(("PPM", mode, {}) for mode in ("1", "L", "RGB")),
]


@pytest.mark.parametrize(("form", "mode", "options"), IMAGES)
def test_a_header_says_what_pillow_says(form: str, mode: str, options: dict[str, Any]) -> None:
    data = encoded(form, mode, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert read_header(memoryview(data)) == Header(str(image.format), *image.size, image.mode)


@pytest.mark.parametrize(("form", "mode", "options"), IMAGES)
def test_an_image_that_is_cut_off_is_unreadable_wherever_it_is_cut(
    form: str, mode: str, options: dict[str, Any]
) -> None:
    data = encoded(form, mode, **options)
    for length in {0, 1, 5, 12, 20, 33, 60, len(data) // 2, len(data) - 20, len(data) - 9}:
        assert read_header(memoryview(data)[:length]) is None, length


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_what_follows_an_image_does_not_matter(form: str) -> None:
    data = encoded(form, "RGB")
    assert read_header(memoryview(data + b"trailing bytes")) == read_header(memoryview(data))


def huge_png(side: int = 50_000) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_png_of_50000_by_50000_pixels_costs_no_more_than_a_small_one() -> None:
    """Promises, Datasets and Flight: a decompression bomb."""
    begun = time.perf_counter()
    assert read_header(memoryview(huge_png())) == Header("PNG", 50_000, 50_000, "RGB")
    assert time.perf_counter() - begun < 0.1


def test_a_png_whose_header_was_damaged_is_unreadable() -> None:
    data = bytearray(encoded("PNG", "RGB"))
    data[17] ^= 1
    assert read_header(memoryview(data)) is None


HOSTILE = {
    "a JPEG of a million segments": b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000 + b"\xff\xd9",
    "a JPEG of fill bytes": b"\xff\xd8" + b"\xff" * 4_000_000,
    "a JPEG whose segment has no length": b"\xff\xd8\xff\xe0\x00\x00" + bytes(100),
    "a TIFF whose directory is itself": b"II*\0\x04\0\0\0" + bytes(8),
    "a TIFF with 2^32 strips": b"II*\0\x08\0\0\0\x03\0"
    + struct.pack("<HHII", 256, 3, 1, 9)
    + struct.pack("<HHII", 257, 3, 1, 9)
    + struct.pack("<HHII", 273, 4, 2**32 - 1, 0),
    "a netpbm without an end": b"P6 " + b"#" * 1_000_000,
    "a WebP that claims 4 GB": b"RIFF\xff\xff\xff\xffWEBPVP8X" + bytes(20),
    "a BMP that is all header": b"BM" + struct.pack("<IIIIiiHHI", 54, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24, 0),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_headers_are_unreadable_at_once(data: bytes) -> None:
    begun = time.perf_counter()
    assert read_header(memoryview(data)) is None
    assert time.perf_counter() - begun < 0.5


@given(st.sampled_from(IMAGES), st.data())
def test_damaged_images_are_told_of_or_read_but_never_raise(
    image: tuple[str, str, dict[str, Any]], data: st.DataObject
) -> None:
    form, mode, options = image
    content = bytearray(_known(form, mode, **options))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content) - 1, 120)))] = data.draw(st.integers(0, 255))
    header = read_header(memoryview(content))
    assert header is None or (header.width > 0 and header.height > 0)


_cache: dict[str, bytes] = {}


def _known(form: str, mode: str, **options: Any) -> bytes:
    key = repr((form, mode, sorted(options.items())))
    if key not in _cache:
        _cache[key] = encoded(form, mode, **options)
    return _cache[key]


def headers_of(values: list[bytes]) -> list[Header | None]:
    ends = np.cumsum([len(value) for value in values])
    starts = np.concatenate([[0], ends[:-1]])
    return list(image_headers(starts.astype(np.int64), ends.astype(np.int64), memoryview(b"".join(values))))


def test_only_what_begins_like_an_image_is_looked_at() -> None:
    image = encoded("PNG", "RGB")
    others = [b"", b"P5", b"P5-hello-world", b"BMW is a maker of cars", b"RIFF\0\0\0\0WAVEfmt ", b"x" * 100]
    found = headers_of([*others, image, image[:50], b"\xff\xd8\xff and nothing more"])
    assert found == [Header("PNG", *SIZE, "RGB"), None, None]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_can_be_asked_for_images(values: list[bytes]) -> None:
    assert len(headers_of(values)) <= len(values)
