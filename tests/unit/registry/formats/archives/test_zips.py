"""A zip is read in place, and only if every reader sees the same in it."""

import contextlib
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import Format, InvalidModelFile
from services.registry.formats.archives.zips import open_zip
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from tests.data.models.pickles import ATTACKS
from tests.data.models.zips import REFUSED, UNREADABLE, Builder, by_name, large, zipped

_NAMES = st.lists(st.text("abcdefé", min_size=1, max_size=8), max_size=5, unique=True)


@given(_NAMES, st.binary(max_size=300), st.booleans())
def test_what_python_writes_is_read_byte_for_byte(names: list[str], content: bytes, compressed: bool) -> None:
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    written = by_name(dict.fromkeys(names, content), method)
    archive = open_zip(MemoryContent(written))
    assert list(archive.members) == names
    for name in names:
        assert archive.read(name, 300) == content
        if not compressed:
            member = archive.members[name]
            assert written[member.begin : member.begin + member.size] == content


def test_what_a_stream_writes_is_read() -> None:
    """Python says sizes after the bytes when it cannot go back, as PyTorch always does."""

    class Pipe(io.RawIOBase):
        written = b""

        def writable(self) -> bool:
            return True

        def write(self, content: bytes) -> int:  # type: ignore[override]
            self.written += bytes(content)
            return len(content)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"abc" * 100)
        archive.writestr("folder/", b"")
        with archive.open("large", "w", force_zip64=True) as member:
            member.write(b"xyz")
    read_ = open_zip(MemoryContent(pipe.written))
    assert {name: read_.read(name, 1000) for name in read_.members} == {"a": b"abc" * 100, "large": b"xyz"}


def test_the_large_form_is_read() -> None:
    assert list(open_zip(MemoryContent(large())).members) == ["a"]


@pytest.mark.parametrize("build", REFUSED.values(), ids=REFUSED)
def test_an_archive_that_readers_could_understand_in_two_ways_is_refused(build: Callable[[], bytes]) -> None:
    """Promises 12 and 13."""
    with pytest.raises(InvalidModelFile, match=r"^Not a valid zip file: .+\.$"):
        open_zip(MemoryContent(build()))


@pytest.mark.parametrize("build", UNREADABLE.values(), ids=UNREADABLE)
def test_a_member_that_is_not_what_it_says_is_not_given(build: Callable[[], bytes]) -> None:
    """Promise 8: and a bomb does not go off."""
    archive = open_zip(MemoryContent(build()))
    tracemalloc.start()
    with pytest.raises(InvalidModelFile, match=r"^Not a valid zip file: 'a' .+\.$"):
        archive.read("a", 10**6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("name", ["two ends", "the same bytes twice", "bytes before the first", "blocks of nothing"])
def test_pythons_own_reader_takes_what_we_refuse(name: str) -> None:
    """Why the reader is our own: some of these open without a word."""
    assert zipfile.ZipFile(io.BytesIO(REFUSED[name]())).namelist()


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(position: int, byte: int) -> None:
    content = bytearray(zipped(compressed=True, a=b"abc" * 50, b__c=b"def"))
    content[position % len(content)] = byte
    with contextlib.suppress(InvalidModelFile):
        archive = open_zip(MemoryContent(bytes(content)))
        for name in archive.members:
            archive.read(name, 1000)


def test_a_zip_of_nothing_known_is_a_zip_and_its_pickles_are_looked_at(tmp_path: Path) -> None:
    """X-13: that a name contains ``version`` makes it no PyTorch file."""
    facts = read(MemoryContent(zipped(version=b"3", my_dot_version=b"1.0", a__data=b"x")))
    assert (facts.format, facts.problems) == (Format.ZIP, [])
    evil = by_name({"deep/evil.pkl": ATTACKS["protocol 2"](tmp_path / "canary")})
    assert read(MemoryContent(evil)).problems == ["deep/evil.pkl: Loading it calls posix.system."]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_executes_in_a_zip_is_told_whatever_its_name(method: int, tmp_path: Path) -> None:
    """R-13: a pickle that is named like weights, an archive, and an array that is one in part."""
    evil = ATTACKS["protocol 2"](tmp_path / "canary")
    array, objects = io.BytesIO(), io.BytesIO()
    np.save(array, np.ones(3))
    np.save(objects, np.array(["a", 1], dtype=object), allow_pickle=True)
    files = {"readme.md": b"# Weights\n", "plain.npy": array.getvalue(), "pytorch_model.bin": evil}
    files |= {"objects.npy": objects.getvalue(), "model.pt": by_name({"archive/data.pkl": evil})}
    facts = read(MemoryContent(by_name(files, method)))
    assert facts.format is Format.ZIP
    assert sorted(problem.partition(":")[0] for problem in facts.problems) == [
        "model.pt",
        "objects.npy",
        "pytorch_model.bin",
    ]


def test_nothing_hides_behind_blocks_of_nothing(tmp_path: Path) -> None:
    """They may be an eighth of a member, and more than is fetched to see how it begins."""
    evil = ATTACKS["protocol 2"](tmp_path / "canary") + bytes(20_000)
    packed = b"\0\0\0\xff\xff" * 600 + b"\1" + struct.pack("<HH", len(evil), 0xFFFF ^ len(evil)) + evil
    content = Builder().member(content=evil, packed=packed, method=8).end()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("a") == evil
    with pytest.raises(InvalidModelFile, match="what it begins with"):
        read(MemoryContent(content))
