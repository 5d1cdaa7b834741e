"""Image steps: what they compute, and what they refuse."""

import io
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headwater.transforms import catalogue, engine
from headwater.transforms.engine import Prefix
from headwater.transforms.errors import ColumnMissing, RowInvalid
from headwater.transforms.model import Step


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def batch(*images: bytes | None) -> pa.RecordBatch:
    columns = {
        "image": pa.array(images, pa.binary()),
        "label": pa.array(["seven"] * len(images)),
        "path": pa.array([f"7/{number}.png" for number in range(len(images))]),
    }
    return pa.RecordBatch.from_pydict(columns)


def step(step_type: str, cache: bool = False, **config: object) -> Step:
    checked = catalogue.STEP_TYPES[step_type].config.model_validate(config)
    return Step(id=step_type, step_type=step_type, config=checked.model_dump(mode="json"), cache=cache)


DECODE = step("image_decode", mode="gray")
RESIZE = step("image_resize", width=4, height=6, mode="exact", filter="nearest")
NORMALIZE = step("image_normalization", mean=[0.5], std=[0.25])


def run(steps: list[Step], *images: bytes | None) -> pa.RecordBatch:
    return engine.result(engine.run(steps, batch(*images))[-1])


def test_normalisation_keeps_values_outside_minus_one_to_one() -> None:
    """X-08: nothing is clamped and nothing is rounded to bytes."""
    rows = run([DECODE, NORMALIZE], png(np.full((2, 3), 255, dtype=np.uint8)))
    assert rows.column("tensor").to_pylist() == [[2.0] * 6]


def test_a_tensor_column_tells_its_shape_channels_first() -> None:
    rows = run([DECODE, RESIZE, NORMALIZE], png(np.zeros((9, 9), dtype=np.uint8)))
    field = rows.schema.field("tensor")
    assert field.type == pa.list_(pa.float32(), 24)
    assert field.metadata[b"headwater.shape"] == b"[1, 6, 4]"


def test_the_other_columns_are_untouched() -> None:
    rows = run([DECODE, NORMALIZE], png(np.zeros((2, 2), dtype=np.uint8)))
    assert rows.column("label").to_pylist() == ["seven"]
    assert rows.column("path").to_pylist() == ["7/0.png"]


def test_pixels_are_stored_as_images() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    stored = run([DECODE], png(pixels)).column("image")[0].as_py()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(stored))), pixels)


@pytest.mark.parametrize(
    ("mode", "shape"), [("exact", [3, 8, 8]), ("stretch", [3, 8, 8]), ("fill", [3, 8, 8]), ("fit", [3, 4, 8])]
)
def test_each_resize_mode_gives_its_shape(mode: str, shape: list[int]) -> None:
    steps = [
        step("image_decode"),
        step("image_resize", width=8, height=8, mode=mode),
        step("image_normalization", mean=[0, 0, 0], std=[1, 1, 1]),
    ]
    rows = run(steps, png(np.zeros((10, 20, 3), dtype=np.uint8)))
    assert rows.schema.field("tensor").metadata[b"headwater.shape"].decode() == str(shape)


def test_images_of_different_shapes_have_no_tensor_column_and_the_row_is_named() -> None:
    small, large = png(np.zeros((2, 2), dtype=np.uint8)), png(np.zeros((3, 2), dtype=np.uint8))
    with pytest.raises(RowInvalid, match=r"7/1\.png has shape \[1, 3, 2\]"):
        run([DECODE, NORMALIZE], small, large)


def bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def jpeg_cut_short() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(buffer, format="JPEG")
    return buffer.getvalue()[:600]


@pytest.mark.parametrize(
    "image", [b"", b"not an image", bomb(50_000, 50_000), jpeg_cut_short(), b"%PDF-1.4", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_what_is_no_image_is_refused_by_row(image: bytes) -> None:
    """Promises: 50,000 × 50,000 PNGs, truncated JPEGs, formats that reach other readers."""
    with pytest.raises(RowInvalid, match=r"7/0\.png"):
        run([DECODE], image)


def test_a_row_without_an_image_is_refused_by_row() -> None:
    with pytest.raises(RowInvalid, match=r"7/1\.png has no image"):
        run([DECODE], png(np.zeros((2, 2), dtype=np.uint8)), None)


def test_rows_without_an_image_column_are_refused() -> None:
    rows = pa.RecordBatch.from_pydict({"image": ["text"]})
    with pytest.raises(ColumnMissing):
        engine.run([DECODE], rows)


def test_a_channel_count_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RowInvalid, match="has 1 channels; mean and std have 3"):
        run([DECODE, step("image_normalization", mean=[0, 0, 0], std=[1, 1, 1])], png(np.zeros((2, 2), dtype=np.uint8)))


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=4),
    st.integers(0, 3),
    st.sampled_from(["fit", "fill", "exact"]),
)
def test_going_on_from_any_prefix_gives_the_same_rows(sizes: list[tuple[int, int]], length: int, mode: str) -> None:
    """N-05: a result kept after any step and read back is as good as the step itself."""
    generator = np.random.default_rng(7)
    images = [png(generator.integers(0, 255, size, dtype=np.uint8)) for size in sizes]
    steps = [
        DECODE,
        step("image_resize", width=5, height=5, mode=mode),
        step("image_resize", width=5, height=5, mode="exact"),
    ]
    steps.append(NORMALIZE)
    whole = engine.run(steps, batch(*images), keep=range(1, 5))
    kept = {prefix.length: prefix for prefix in whole}
    again = engine.run(steps, kept[length] if length else batch(*images))
    assert again[-1].batch.equals(kept[4].batch)
    assert isinstance(again[-1], Prefix)
