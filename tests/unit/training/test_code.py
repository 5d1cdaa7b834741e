"""Folders of code as archives: the same bytes for the same folder, and no way out when unpacked (promises 12, 13)."""

import contextlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater import code, digests
from headwater.code import InvalidCode, extract, pack

SEGMENT = st.text("abcXYZ019_- é", min_size=1, max_size=12).filter(lambda name: name.strip() == name)
FILES = st.dictionaries(
    st.lists(SEGMENT, min_size=1, max_size=3).map("/".join), st.binary(max_size=2000), min_size=1, max_size=8
)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    pack(folder, buffer)
    return buffer.read()


def archive(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.USTAR_FORMAT) -> io.BytesIO:  # noqa: A002
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(files=FILES)
def test_what_is_packed_comes_out_again(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("code")
    try:
        source = write(directory / "source", files)
    except (NotADirectoryError, FileExistsError, IsADirectoryError):
        return  # the names drawn want one path to be a file and a directory
    unpacked = directory / "unpacked"
    unpacked.mkdir()
    assert extract(io.BytesIO(packed(source)), unpacked) == len(read(source))
    assert read(unpacked) == read(source)


def test_equal_folders_give_equal_archives_whatever_their_times_owners_and_order(tmp_path: Path) -> None:
    first = write(tmp_path / "first", {"a.py": b"1", "b/c.py": b"2"})
    second = write(tmp_path / "second", {"b/c.py": b"2", "a.py": b"1"})
    os.utime(second / "a.py", (0, 0))
    (second / "a.py").chmod(0o600)
    assert packed(first) == packed(second)


def test_another_byte_or_an_executable_bit_gives_another_archive(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", {"a.py": b"1"})
    before = packed(folder)
    (folder / "a.py").chmod(0o755)
    executable = packed(folder)
    (folder / "a.py").write_bytes(b"2")
    assert len({before, executable, packed(folder)}) == 3


def test_the_digest_is_that_of_the_bytes_and_the_file_is_at_its_beginning(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", {"a.py": b"1"})
    buffer = io.BytesIO()
    result = pack(folder, buffer)
    content = buffer.read()
    assert (result.size_bytes, result.file_count) == (len(content), 1)
    assert result.digest == digests.of_bytes(content)


def test_caches_and_repositories_are_left_out(tmp_path: Path, target: Path) -> None:
    folder = write(tmp_path / "folder", {"a.py": b"1", "__pycache__/a.pyc": b"2", ".git/config": b"3", "b.pyc": b"4"})
    extract(io.BytesIO(packed(folder)), target)
    assert read(target) == {"a.py": b"1"}


def test_an_executable_file_stays_executable_and_no_other_bit_survives(tmp_path: Path, target: Path) -> None:
    folder = write(tmp_path / "folder", {"run.sh": b"1"})
    (folder / "run.sh").chmod(0o4777)
    extract(io.BytesIO(packed(folder)), target)
    assert (target / "run.sh").stat().st_mode & 0o7777 == 0o755


def test_an_archive_made_by_tar_with_its_directories_is_accepted(target: Path) -> None:
    root, sub = member("./", tarfile.DIRTYPE), member("./pkg/", tarfile.DIRTYPE)
    extract(archive((root, b""), (sub, b""), (member("./pkg/a.py"), b"1")), target)
    assert read(target) == {"pkg/a.py": b"1"}


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo])
def test_a_folder_with_a_link_or_a_device_cannot_be_packed(tmp_path: Path, make: Callable[[Path], None]) -> None:
    folder = write(tmp_path / "folder", {"a.py": b"1"})
    make(folder / "odd")
    with pytest.raises(InvalidCode, match="odd"):
        packed(folder)


def test_an_empty_folder_a_file_and_a_missing_folder_cannot_be_packed(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    file = write(tmp_path, {"a.py": b""}) / "a.py"
    for path, why in ((empty, "no files"), (file, "not a directory"), (tmp_path / "missing", "not a directory")):
        with pytest.raises(InvalidCode, match=why):
            packed(path)


@pytest.mark.parametrize(
    "name",
    ["../out", "a/../../out", "/etc/out", "a//b", "a/./b", "..", "a\\..\\out", "a\nb", "a\x7fb", "a\u202eb"],
)
def test_a_name_that_leaves_the_folder_is_refused(name: str, target: Path) -> None:
    with pytest.raises(InvalidCode):
        extract(archive((member(name), b"evil")), target)
    assert list(target.parent.iterdir()) == [target]
    assert not list(target.iterdir())


@pytest.mark.parametrize(
    "odd",
    [
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.LNKTYPE, "../secret"),
        member("device", tarfile.CHRTYPE),
        member("device", tarfile.BLKTYPE),
        member("fifo", tarfile.FIFOTYPE),
        member("sparse", tarfile.GNUTYPE_SPARSE),
        member("contiguous", tarfile.CONTTYPE),
    ],
    ids=lambda info: str(info.type),
)
def test_links_devices_and_sparse_files_are_refused(odd: tarfile.TarInfo, target: Path) -> None:
    with pytest.raises(InvalidCode, match="only files and directories"):
        extract(archive((odd, b"")), target)
    assert not list(target.iterdir())


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_extension_headers_are_refused(format_: int, target: Path) -> None:
    with pytest.raises(InvalidCode):
        extract(archive((member("d/" * 80 + "x" * 150), b""), format=format_), target)


def test_nothing_is_written_through_an_earlier_entry(target: Path) -> None:
    twice = archive((member("a"), b"1"), (member("a"), b"2"))
    through_a_file = archive((member("a"), b"1"), (member("a/b"), b"2"))
    for number, bad in enumerate((twice, through_a_file)):
        directory = target / str(number)
        directory.mkdir()
        with pytest.raises(InvalidCode, match="Two entries"):
            extract(bad, directory)
        assert (directory / "a").read_bytes() == b"1"


def with_size_field(field: bytes) -> io.BytesIO:
    """An archive whose header says another size, with its checksum made right."""
    block = bytearray(archive((member("a"), b"")).read(512))
    block[124:136] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return io.BytesIO(bytes(block) + bytes(1024))


@pytest.mark.parametrize(
    "field",
    [
        b"\xff" * 12,
        b"\x80" + b"\0" * 10 + b"\x05",
        b"-0000000001\0",
        b"77777777777\0",
        b"9999\0" + b"\0" * 7,
        b"\0" * 12,
    ],
    ids=["negative", "base 256", "minus", "8 GiB", "not octal", "empty"],
)
def test_a_size_that_is_no_plain_number_or_too_large_is_refused(field: bytes, target: Path) -> None:
    with pytest.raises(InvalidCode):
        extract(with_size_field(field), target)
    assert sum(path.stat().st_size for path in target.iterdir()) == 0


def test_too_many_entries_are_refused(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "MAX_FILES", 2)
    with pytest.raises(InvalidCode, match="more than 2 entries"):
        extract(archive(*((member(str(number)), b"") for number in range(3))), target)


def test_too_many_bytes_are_refused_before_they_are_written(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "MAX_BYTES", 10)
    with pytest.raises(InvalidCode, match="10 bytes"):
        extract(archive((member("large"), b"x" * 11)), target)
    assert not list(target.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_stays_within_the_folder(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(archive((member("a/b.py"), b"print()"), (member("c.py"), b"x" * 600)).read())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 2047))] = data.draw(st.integers(0, 255))
    directory = tmp_path_factory.mktemp("damaged")
    target = directory / "target"
    target.mkdir()
    with contextlib.suppress(InvalidCode):
        extract(io.BytesIO(bytes(content[: data.draw(st.integers(0, len(content)))])), target)
    assert list(directory.iterdir()) == [target]
    assert all(path.is_dir() or path.is_file() for path in target.rglob("*"))


def test_a_target_with_something_in_it_is_refused(target: Path) -> None:
    (target / "there").touch()
    with pytest.raises(InvalidCode, match="not empty"):
        extract(archive((member("a"), b"")), target)
