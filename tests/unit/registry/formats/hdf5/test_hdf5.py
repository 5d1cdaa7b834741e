"""HDF5 is read as h5py writes it, within limits, and nothing outside of the file is looked at."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.formats import FileFacts, Format, InvalidModelFile
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import read
from tests.data.models.keras_files import hdf5

_DTYPES: Mapping[str, Any] = {
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "INT8": np.int8,
    "INT64": np.int64,
    "UINT16": np.uint16,
    "BOOL": np.bool_,
    "COMPLEX64": np.complex64,
}
_NAMES = st.lists(st.text("ab:_é0", min_size=1, max_size=8), min_size=1, max_size=3).map("/".join)
_SHAPES = st.lists(st.integers(0, 4), max_size=3)


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@settings(max_examples=40)
@given(st.dictionaries(_NAMES, st.tuples(st.sampled_from(sorted(_DTYPES)), _SHAPES), max_size=6))
def test_what_h5py_writes_is_read(libver: str, datasets: Mapping[str, tuple[str, Sequence[int]]]) -> None:
    """Against the reference library: every dataset with its type and shape, and its bytes where they are said to be."""
    datasets = {path: each for path, each in datasets.items() if not any(o.startswith(f"{path}/") for o in datasets)}
    arrays = {
        path: (np.arange(np.prod(shape, dtype=int)) % 2).reshape(shape).astype(_DTYPES[kind])
        for path, (kind, shape) in datasets.items()
    }

    def fill(file: h5py.File) -> None:
        for path, array in arrays.items():
            file.create_dataset(path, data=array)

    facts = _read(content := hdf5(fill, libver=libver))
    assert facts.format is Format.HDF5
    assert {each.name: (each.datatype, list(each.shape)) for each in facts.tensors} == {
        path: (kind, list(shape)) for path, (kind, shape) in datasets.items()
    }
    for tensor in facts.tensors:
        if arrays[tensor.name].size:
            assert content[tensor.begin : tensor.end] == arrays[tensor.name].tobytes()


def _each_way(file: h5py.File) -> None:
    data = np.ones((10, 10), np.float32)
    file.create_dataset("compressed", data=data, chunks=(5, 5), compression="gzip")
    file.create_dataset("in chunks", data=data, chunks=(5, 5))
    file.create_dataset("never written", (3,), np.float32)
    file.create_dataset("other order", data=data.astype(">f4"))
    file.create_dataset("texts", data=["a", "b"])
    file.create_dataset("nothing", data=h5py.Empty("f4"))
    file["type"] = np.dtype("f4")
    file["again"] = file["in chunks"]
    file["soft"] = h5py.SoftLink("/nowhere")


def test_what_lies_in_no_one_piece_is_told_without_a_place() -> None:
    facts = _read(hdf5(_each_way))
    assert {each.name: (each.datatype, tuple(each.shape), each.begin) for each in facts.tensors} == {
        "again": ("FP32", (10, 10), -1),
        "compressed": ("FP32", (10, 10), -1),
        "never written": ("FP32", (3,), -1),
        "other order": ("FP32", (10, 10), -1),
        "texts": ("BYTES", (2,), -1),
    }
    assert not facts.problems


def test_bfloat16_is_told_as_keras_writes_it() -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("w", data=np.zeros((2, 2), np.uint16)).attrs["dtype"] = "bfloat16"

    assert [each.datatype for each in _read(hdf5(fill)).tensors] == ["BF16"]


def test_a_group_that_holds_itself_is_read_once() -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("a/w", data=np.zeros(3, np.float32))
        file["a/self"] = file["a"]
        file["a/all"] = file["/"]

    assert [each.name for each in _read(hdf5(fill)).tensors] == ["a/w"]


def test_many_links_and_attributes_of_the_old_form_are_all_read() -> None:
    def fill(file: h5py.File) -> None:
        for number in range(500):
            file.create_dataset(f"w{number:03d}", data=np.zeros(2, np.float32)).attrs["dtype"] = "float32"
        for number in range(50):
            file.attrs[f"attribute{number}"] = "x" * 1000

    facts = _read(hdf5(fill))
    assert [each.name for each in facts.tensors] == [f"w{number:03d}" for number in range(500)]
    assert not facts.problems


def _typical(file: h5py.File) -> None:
    for number in range(6):
        file.create_dataset(f"layers/l{number}/vars/0", data=np.zeros((2, 3), np.float32))
    file.attrs["keras_version"] = "3.15.1"
    file["layers"].attrs["names"] = ["l1", "l2"]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_changed_bytes_are_read_or_refused_and_nothing_else(libver: str, seed: int) -> None:
    content, chance = bytearray(hdf5(_typical, libver=libver)), random.Random(seed)
    used = [position for position, byte in enumerate(content) if byte]
    for _ in range(chance.randint(1, 8)):
        content[chance.choice(used)] = chance.choice([0, 1, 255, chance.randrange(256)])
    try:
        facts = _read(bytes(content))
    except InvalidModelFile:
        return
    assert facts.format in (Format.HDF5, Format.UNSPECIFIED)


def test_what_is_fetched_does_not_grow_with_the_data() -> None:
    fetched = []
    for size in (2**20, 2**24):

        def fill(file: h5py.File, size: int = size) -> None:
            for number in range(3):
                file.create_dataset(f"w{number}", data=np.zeros(size // 4, np.float32))

        content, asked = hdf5(fill), list[int]()

        def fetch(begin: int, length: int, content: bytes = content, asked: list[int] = asked) -> bytes:
            asked.append(length)
            return content[begin : begin + length]

        assert len(read(RangedContent(len(content), fetch)).tensors) == 3
        fetched.append(sum(asked))
    assert fetched[1] <= 1.2 * fetched[0]


def test_a_text_that_only_ends_as_a_pickle_does_is_no_problem() -> None:
    def fill(file: h5py.File) -> None:
        for number, text in enumerate(("A table.", "(see below).", "I am a text.", "1.", ".", "c.", "{}.")):
            file.attrs[f"note{number}"] = np.bytes_(text.encode())

    assert not read(MemoryContent(hdf5(fill))).problems
