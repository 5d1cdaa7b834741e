"""NumPy files."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from headwater.errors import HeadwaterError
from headwater.files import Source
from headwater.files.errors import SourceMalformed
from tests.unit.files.conftest import write
from tests.unit.files.test_images import digest_of, rows_of


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def source(tmp_path: Path, content: bytes, name: str = "rows.npy") -> Source:
    return Source(write(tmp_path, {name: content}) / name)


def header(text: str, data: bytes = b"") -> bytes:
    """An .npy file that says what it wants."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<i2", ">u8", "?", "f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_lie_along_the_first_axis_whatever_the_layout(tmp_path: Path, dtype: str, order: Any) -> None:
    array = np.arange(24).reshape(4, 3, 2).astype(dtype, order=order)
    assert [row["value"] for row in rows_of(source(tmp_path, npy(array)))] == array.tolist()


def test_tensors_have_the_digest_of_the_same_rows_in_parquet(tmp_path: Path) -> None:
    """N-11."""
    array = np.random.default_rng(1).random((50, 7), np.float32)
    pa.parquet.write_table(
        pa.table({"value": array.tolist()}, pa.schema({"value": pa.list_(pa.float32())})), tmp_path / "rows.parquet"
    )
    assert digest_of(source(tmp_path, npy(array))) == digest_of(Source(tmp_path / "rows.parquet"))


def test_fields_of_a_structured_array_are_columns(tmp_path: Path) -> None:
    array = np.array(
        [(1, "é", b"ab", (1.5, 2), "2020-01-01", 3), (2, "", b"", (0, 1), "NaT", 4)],
        [("a", ">i4"), ("t", "U2"), ("b", "S2"), ("pair", "f4", 2), ("day", "M8[D]"), ("left", "m8[s]")],
    )
    rows = source(tmp_path, npy(array))
    assert rows.schema.types == [
        pa.int32(), pa.string(), pa.binary(), pa.list_(pa.float32(), 2), pa.date32(), pa.duration("s"),
    ]  # fmt: skip
    first, second = rows_of(rows)
    assert (first["a"], first["t"], first["b"], first["pair"]) == (1, "é", b"ab", [1.5, 2])
    assert second["day"] is None


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize(
    ("dtype", "ticks"),
    [
        # The year 0, which Python's calendar does not have, and the ends of what NumPy counts.
        ("M8[us]", [-62_167_219_200_000_000, 2**63 - 1, -(2**63) + 1]),
        ("M8[s]", [-62_167_219_200, 2**63 - 1, -(2**63) + 1]),
        ("m8[ms]", [2**63 - 1, -(2**63) + 1]),
        ("M8[D]", [-719_528, 2**31 - 1, -(2**31)]),
    ],
)
def test_times_outside_the_calendar_of_python_arrive_exactly(
    tmp_path: Path, dtype: str, ticks: list[int], structured: bool
) -> None:
    array = np.array([*ticks, -(2**63)], np.int64).view(dtype)
    rows = source(tmp_path, npy(array.view([("value", dtype)]) if structured else array))
    column = pa.Table.from_batches(rows.batches("train")).column("value")
    assert column.cast(pa.int32() if dtype == "M8[D]" else pa.int64()).to_pylist() == [*ticks, None]


@pytest.mark.parametrize("day", [2**31, -(2**31) - 1])
def test_days_that_no_date_can_be_are_refused(tmp_path: Path, day: int) -> None:
    """Arrow would make other days of them."""
    array = np.array([0, day, -(2**63)], np.int64).view("M8[D]")
    with pytest.raises(SourceMalformed, match="days outside"):
        digest_of(source(tmp_path, npy(array)))
    with pytest.raises(SourceMalformed, match="days outside"):
        digest_of(source(tmp_path, npy(array.view([("day", "M8[D]")]))))


def test_arrays_of_an_archive_are_columns(tmp_path: Path) -> None:
    stream = io.BytesIO()
    images = np.asfortranarray(np.random.default_rng(1).integers(0, 255, (3000, 8, 8), np.uint8))
    np.savez_compressed(stream, image=images, label=np.arange(3000))
    rows = rows_of(source(tmp_path, stream.getvalue(), "rows.npz"))
    assert [row["label"] for row in rows] == list(range(3000))
    assert [row["image"] for row in rows] == images.tolist()


REFUSALS = ("SOURCE_MALFORMED", "SOURCE_UNSUPPORTED", "INVALID_SCHEMA", "UNSUPPORTED_COLUMN_TYPE")


class Canary:
    called = False

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        return (_alarm, ())


def _alarm() -> None:
    Canary.called = True


def test_objects_are_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    """Promise 12."""
    objects = npy(np.array([Canary()], object), allow_pickle=True)
    with pytest.raises(SourceMalformed, match="holds Python objects"):
        source(tmp_path, objects)
    with pytest.raises(SourceMalformed, match="Python objects"):
        source(tmp_path, npy(np.array([(1, Canary())], [("a", "i4"), ("b", "O")]), allow_pickle=True))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", objects)
    with pytest.raises(SourceMalformed, match=r"array 'a\.npy' .*Python objects"):
        source(tmp_path, stream.getvalue(), "rows.npz")
    with pytest.raises(SourceMalformed):
        source(tmp_path, pickle.dumps(Canary()))
    assert not Canary.called


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(np.float32(1)), "single value without rows"),
        (npy(np.zeros(3, complex)), "complex128 is no type"),
        (npy(np.zeros((3, 0))), "has no bytes"),
        (npy(np.zeros(3, "M8[Y]")), "no type that rows can have"),
        (npy(np.arange(10))[:-1], "says 80 bytes of rows and there are 79"),
        (npy(np.arange(10)) + b"x", "says 80 bytes of rows and there are 81"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }\n"), "and there are 0"),
        (header("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 1099511627776,), }\n"), "cannot be read as rows"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"), "shape is none"),
        (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').abort(),), }\n"),
            "malformed node",
        ),
        (
            header("{'descr': [('a', '<f8'), ('a', '<f8')], 'fortran_order': False, 'shape': (0,), }\n"),
            "name already used",
        ),
        (header("(" * 9000), "nested parentheses"),
        (header("-" * 9000 + "1"), "cannot be read as rows"),
        (b"\x93NUMPY\x09\x00", "versions 1 to 3"),
        (b"\x93NUMPY", "it ends before"),
    ],
)
def test_an_array_that_is_not_what_its_header_says_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceMalformed) as caught:
        rows_of(source(tmp_path, content))
    assert said in str(caught.value)
    assert "rows.npy" in str(caught.value)


def archived(members: dict[str, bytes], **options: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archived({"a.npy": npy(np.arange(3)), "b.npy": npy(np.arange(4))}), "different numbers of rows"),
        (archived({"../a": b"x"}), "it is no array"),
        (archived({}), "holds no array"),
        (archived({f"{i}.npy": b"" for i in range(10_001)}), "10001 entries"),
        (archived({"a.npy": npy(np.arange(300))}).replace(b"\x2b\x01", b"\x2b\x02"), "CRC"),
        (archived({"a.npy": npy(np.arange(300))})[:-10], "no directory"),
        (b"PK\x03\x04" + b"x" * 100, "no directory"),
    ],
)
def test_an_archive_that_is_odd_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceMalformed, match=said):
        rows_of(source(tmp_path, content, "rows.npz"))


@given(
    nps.arrays(st.sampled_from(["<f4", ">i8", "?", "U3", "S3", "M8[us]"]), nps.array_shapes(max_dims=3, max_side=3)),
    st.data(),
)
def test_any_bytes_are_rows_or_a_clean_error(
    tmp_path_factory: pytest.TempPathFactory, array: Any, data: st.DataObject
) -> None:
    is_archive = data.draw(st.booleans())
    content = bytearray(archived({"a.npy": npy(array)}) if is_archive else npy(array))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("numpy")
    try:
        digest_of(source(folder, bytes(content), "rows.npz" if is_archive else "rows.npy"))
    except HeadwaterError as error:
        assert error.reason in REFUSALS  # noqa: PT017  # most are rows
