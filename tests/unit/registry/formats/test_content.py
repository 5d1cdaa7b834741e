"""Bytes are read by range, exactly those that were asked for, wherever they are."""

import gc
import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from services.registry.formats.content import Content, FileContent, MemoryContent, PartOf, RangedContent, Truncated

_BYTES = bytes(range(256)) * 12_000  # 3 MB: more than is read at once


def _file(folder: Path) -> Content:
    path = folder / "content"
    path.write_bytes(_BYTES)
    return FileContent(path)


_KINDS: dict[str, Callable[[Path], Content]] = {
    "file": _file,
    "memory": lambda _: MemoryContent(_BYTES),
    "elsewhere": lambda _: RangedContent(len(_BYTES), lambda begin, length: _BYTES[begin : begin + length]),
    "part": lambda _: PartOf(MemoryContent(b"before" + _BYTES + b"behind"), 6, len(_BYTES)),
}


@pytest.fixture(params=_KINDS)
def content(request: pytest.FixtureRequest, tmp_path: Path) -> Content:
    return _KINDS[request.param](tmp_path)


@pytest.mark.parametrize(
    ("begin", "length"),
    [
        (0, 0),
        (0, 1),
        (255, 3),
        (262_140, 10),
        (0, len(_BYTES)),
        (5000, 2_000_000),
        (len(_BYTES), 0),
        (len(_BYTES) - 1, 1),
    ],
)
def test_exactly_the_bytes_of_a_range_come(content: Content, begin: int, length: int) -> None:
    assert content.size == len(_BYTES)
    assert content.read(begin, length) == _BYTES[begin : begin + length]


@pytest.mark.parametrize(
    ("begin", "length"), [(0, len(_BYTES) + 1), (len(_BYTES), 1), (-1, 1), (1, -1), (2**63, 2**63)]
)
def test_a_range_past_the_end_is_refused(content: Content, begin: int, length: int) -> None:
    with pytest.raises(Truncated):
        content.read(begin, length)


def test_a_file_is_open_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    held = _file(tmp_path)
    many = held.read(1, 2_000_000)
    del held
    gc.collect()
    assert many[-1] == _BYTES[2_000_000]
    assert _is_open(tmp_path)
    del many
    gc.collect()
    assert not _is_open(tmp_path)


def test_a_file_that_becomes_shorter_is_told(tmp_path: Path) -> None:
    content = _file(tmp_path)
    os.truncate(tmp_path / "content", 100)
    with pytest.raises(Truncated, match="has become shorter"):
        content.read(90, 20)


def test_an_empty_file_has_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert len(FileContent(tmp_path / "empty").read(0, 0)) == 0


def _is_open(folder: Path) -> bool:
    """Whether this process has a file of the folder open, or mapped into its memory."""
    process = psutil.Process()
    paths = [each.path for each in process.open_files()] + [each.path for each in process.memory_maps()]
    return any(Path(path).is_relative_to(folder) for path in paths)
