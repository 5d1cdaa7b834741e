"""Pickles that are compressed, behind an array's header or among an archive's members are found (R-13, promise 12)."""

import gzip
import io
import pickle
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import Format, InvalidModelFile
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from tests.data.models.packed_files import ATTACKS, MARKED, saved, with_header
from tests.data.models.pytorch_files import archive
from tests.data.models.zips import by_name


@pytest.mark.parametrize("name", ATTACKS)
def test_what_executes_is_told_wherever_it_lies(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    facts = read(MemoryContent(ATTACKS[name](canary)))
    assert facts.problems
    assert not canary.exists()


@pytest.mark.parametrize("build", MARKED.values(), ids=MARKED)
def test_what_cannot_be_looked_into_is_told_in_little_memory(build: Callable[[], bytes]) -> None:
    content = build()
    tracemalloc.start()
    facts = read(MemoryContent(content))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert facts.problems
    assert peak < 100 * 2**20


def test_the_attacks_are_real(tmp_path: Path) -> None:
    """So the tests above mean something: joblib, NumPy and PyTorch execute these."""
    names = [name for name in ATTACKS if name.startswith(("joblib", "an array of", "an array with objects", "the "))]
    canaries = {name: tmp_path / f"{number}.canary" for number, name in enumerate(names)}
    for number, name in enumerate(names):
        (tmp_path / f"{number}.file").write_bytes(ATTACKS[name](canaries[name]))
    victim = """
import contextlib, functools, pathlib, sys, joblib, numpy, torch
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.file")):
    for load in (joblib.load, functools.partial(numpy.load, allow_pickle=True)):
        with contextlib.suppress(Exception):
            load(path)
    with contextlib.suppress(Exception):
        torch.load(path, weights_only=False)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", victim, tmp_path], check=True, capture_output=True)
    assert [name for name, canary in canaries.items() if not canary.exists()] == []


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_harmless_pickle_that_is_compressed_is_one(kind: str) -> None:
    content = io.BytesIO()
    joblib.dump({"scale": 3, "names": ["a", "b"]}, content, compress=(kind, 3))
    facts = read(MemoryContent(content.getvalue()))
    assert (facts.format, facts.problems) == (Format.PICKLE, [])
    assert facts.properties["compression"]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n" * 500, b'{"a": 1}', bytes(3000), b""])
def test_other_things_that_are_compressed_are_of_no_format_and_not_marked(content: bytes) -> None:
    for packed in (gzip.compress(content), zlib.compress(content)):
        facts = read(MemoryContent(packed))
        assert (facts.format, list(facts.problems)) == (Format.UNSPECIFIED, [])


@pytest.mark.parametrize("text", [b"x^2 + 3x is no zlib\n", b"x\x01\x00", b"BZh is no bzip2", b"]\0 is no LZMA"])
def test_what_only_begins_as_if_it_were_compressed_is_not_marked(text: bytes) -> None:
    facts = read(MemoryContent(text * 100))
    assert (facts.format, list(facts.problems)) == (Format.UNSPECIFIED, [])


_TYPES = ["f8", "?", "c16", "S5", "U3", "M8[ns]", "m8[25s]", ">i4", "f2", "V7", [("a", "f4"), ("O", "i8", (2, 3))]]


@pytest.mark.parametrize("dtype", _TYPES, ids=str)
def test_arrays_of_numbers_and_texts_are_not_marked(dtype: str) -> None:
    for shape in ((), (3,), (2, 0, 3)):
        content = saved(np.zeros(shape, dtype))
        assert not read(MemoryContent(content)).problems
        assert not read(MemoryContent(by_name({"a.npy": content}))).problems


def test_an_array_that_python_2_wrote_is_not_marked() -> None:
    """Its long numbers end in L."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 3L), }"
    assert not read(MemoryContent(with_header(header, bytes(48)))).problems


@pytest.mark.parametrize("type_", ["object", "object_", "O8", "<O", "i4,O", "(2,)O", "OO"])
def test_an_array_whose_type_is_written_as_nobody_writes_it_is_marked(type_: str) -> None:
    header = f"{{'descr': {type_!r}, 'fortran_order': False, 'shape': (1,), }}"
    for version in (1, 2, 3):
        content = with_header(header, pickle.dumps([1]), version)
        assert read(MemoryContent(content)).format is Format.PICKLE
        assert read(MemoryContent(by_name({"a.npy": content}))).problems


def test_archives_with_harmless_members_are_not_marked() -> None:
    """Notes, tokens, pictures and numbers begin as anything may."""
    numbers = np.random.default_rng(7).random(30_000, np.float32).tobytes()
    parts = {f"part-{index}": numbers[index * 4 :][:1000] for index in range(300)}
    texts = {"readme.md": b"# Read me\n", "data.json": b'{"a": [1, 2]}', "labels.txt": b"cat\ndog\n", "empty": b""}
    for members in (parts, texts):
        assert not read(MemoryContent(by_name(members))).problems
        assert not read(MemoryContent(archive(b"\x80\x02}.", members))).problems


def test_an_archive_of_very_many_members_that_may_be_pickles_is_marked_in_bounded_time() -> None:
    """Promise 8: what is spent on one file is spent, and it is said that it was."""
    content = by_name({str(number): b"(" + b"N0" * 255 for number in range(20_000)})
    facts = read(MemoryContent(content))
    assert facts.problems[0].endswith("of its pickles are too many, or too large, to be looked at.")


_BEGINNINGS = [b"\x78\x9c", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x5d\0\0", b"\x93NUMPY\1\0"]


@given(st.binary(max_size=100), st.sampled_from(_BEGINNINGS))
def test_any_bytes_are_read(noise: bytes, beginning: bytes) -> None:
    for content in (beginning + noise, by_name({"a": beginning + noise})):
        try:
            facts = read(MemoryContent(content))
        except InvalidModelFile:
            continue
        assert facts.format in (Format.PICKLE, Format.UNSPECIFIED, Format.ZIP)
