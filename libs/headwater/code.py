"""A folder of code as one file: packed the same way every time, unpacked without trusting the file.

The archive is a plain POSIX ustar of regular files and directories and nothing else. It is read by the strict reader
below and not by ``tarfile``, whose parser follows links, sparse maps, extension headers and negative sizes that no
folder of code needs (promise 12).

    with open("code.tar", "w+b") as file:
        packed = pack(Path("./my-training"), file)      # packed.digest names the artifact
    ...
    extract(file, Path("/empty/directory"))
"""

import dataclasses
import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from headwater import artifacts
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import artifacts_pb2

MAX_FILES = 10_000
MAX_BYTES = 2**30
_BLOCK = 512
_COPY_BYTES = 2**20
_SKIPPED = {"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"}
_FILE_TYPES = (b"0", b"\0")
_DIRECTORY_TYPE = b"5"


class InvalidCode(InvalidArgument):
    """The folder or archive cannot be code for a job."""

    reason = "INVALID_CODE"
    text = "This is not a usable archive of code."


@dataclasses.dataclass(frozen=True, slots=True)
class Packed:
    """What was packed."""

    digest: str
    """``sha256:`` and 64 hex digits over the archive; equal for equal folders."""
    size_bytes: int
    file_count: int


def pack(folder: Path, to: BinaryIO) -> Packed:
    """Write ``folder`` as an archive to ``to`` and leave ``to`` at its beginning.

    Equal contents, names and executable bits give equal bytes: entries are sorted, owners and times left out. Caches,
    ``.git`` and ``.venv`` are skipped.

    Raises:
        InvalidCode: not a directory, empty, too large, a link or device in it, or a name that the format cannot hold.
    """
    if not folder.is_dir():
        raise InvalidCode(f"{folder} is not a directory.")
    files = sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix().encode())
    if not files:
        raise InvalidCode(f"{folder} holds no files.")
    if len(files) > MAX_FILES or sum(path.stat().st_size for path in files) > MAX_BYTES:
        raise InvalidCode(f"{folder} is larger than {MAX_FILES} files or {MAX_BYTES} bytes.")
    with tarfile.open(fileobj=to, mode="w", format=tarfile.USTAR_FORMAT, encoding="utf-8") as archive:
        for path in files:
            with path.open("rb") as file:
                archive.addfile(_entry(path, folder), file)
    size_bytes = to.tell()
    to.seek(0)
    digest = hashlib.sha256()
    while piece := to.read(_COPY_BYTES):
        digest.update(piece)
    to.seek(0)
    return Packed(f"sha256:{digest.hexdigest()}", size_bytes, len(files))


def upload(connection: Connection, folder: Path, *, project: str = DEFAULT_PROJECT) -> artifacts_pb2.Artifact:
    """Pack ``folder`` and store it; an equal folder gives the same artifact again.

    Raises:
        InvalidCode: see :func:`pack`.
    """
    with tempfile.TemporaryDirectory(prefix="headwater-") as directory:
        path = Path(directory) / "code.tar"
        with path.open("w+b") as file:
            pack(folder, file)
        return artifacts.upload(connection, path, project=project)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _SKIPPED or path.suffix == ".pyc":
            continue
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _files(path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise InvalidCode(f"{path} is neither a file nor a directory.", path=path)


def _entry(path: Path, folder: Path) -> tarfile.TarInfo:
    name = path.relative_to(folder).as_posix()
    _check_name(name)
    entry = tarfile.TarInfo(name)
    status = path.stat()
    entry.size = status.st_size
    entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    try:
        entry.tobuf(tarfile.USTAR_FORMAT, "utf-8")
    except ValueError as error:
        raise InvalidCode(f"The path {name} is too long.", path=name) from error
    return entry


def extract(archive: BinaryIO, target: Path) -> int:
    """Unpack ``archive``, read from where it stands, into the empty directory ``target``; returns the number of files.

    Nothing is written outside ``target``, through a link or over another entry, and nothing but files and directories
    is made.

    Raises:
        InvalidCode: anything else; what was written until then lies in ``target``.
    """
    if any(target.iterdir()):
        raise InvalidCode(f"{target} is not empty.")
    count, total = 0, 0
    for header in _headers(archive):
        count, total = count + 1, total + header.size_bytes
        if count > MAX_FILES or total > MAX_BYTES:
            raise InvalidCode(f"The archive holds more than {MAX_FILES} entries or {MAX_BYTES} bytes.")
        path = target.joinpath(*header.name.split("/"))
        try:
            if header.directory:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(archive, header, path)
        except OSError as error:
            if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
                raise InvalidCode(f"Two entries want the path {header.name}.", path=header.name) from error
            raise
    return count


@dataclasses.dataclass(frozen=True, slots=True)
class _Header:
    name: str
    size_bytes: int
    directory: bool
    executable: bool


def _headers(archive: BinaryIO) -> Iterator[_Header]:
    """Each entry's header; the consumer has read a file's content, without its padding, when it asks for the next."""
    while True:
        block = archive.read(_BLOCK)
        if block == bytes(_BLOCK):
            return
        if len(block) != _BLOCK:
            raise InvalidCode("The archive ends before its end mark.")
        header = _parse(block)
        yield header
        padding = -header.size_bytes % _BLOCK
        if len(archive.read(padding)) != padding:
            raise InvalidCode("The archive ends before its end mark.")


def _parse(block: bytes) -> _Header:
    """The POSIX ustar header (IEEE Std 1003.1, pax, "ustar Interchange Format")."""
    checksum = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if _octal(block[148:156], "checksum") != checksum or block[257:262] != b"ustar":
        raise InvalidCode("The archive is not a ustar archive, or it is damaged.")
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    name = _text(block[0:100])
    name = f"{prefix}/{name}" if prefix else name
    kind, size_bytes = block[156:157], _octal(block[124:136], "size")
    if kind not in (*_FILE_TYPES, _DIRECTORY_TYPE):
        raise InvalidCode(
            f"The entry {name!r} is of type {kind!r}; only files and directories are accepted, in plain ustar format.",
            path=name,
        )
    directory = kind == _DIRECTORY_TYPE
    if directory and size_bytes:
        raise InvalidCode(f"The directory {name!r} has a size.", path=name)
    name = name.removeprefix("./")
    name = name.removesuffix("/") if directory else name
    if not (directory and not name):  # "./", with which `tar -C folder .` begins, is the target itself
        _check_name(name)
    return _Header(name, size_bytes, directory, bool(_octal(block[100:108], "mode") & stat.S_IXUSR))


def _octal(field: bytes, what: str) -> int:
    digits = field.strip(b" \0")
    if not digits.isdigit() or any(digit > ord("7") for digit in digits):  # base-256 and signs are refused here
        raise InvalidCode(f"An entry's {what} is not an octal number.")
    return int(digits, 8)


def _text(field: bytes) -> str:
    try:
        return field.partition(b"\0")[0].decode()
    except UnicodeDecodeError as error:
        raise InvalidCode("An entry's name is not UTF-8.") from error


def _check_name(name: str) -> None:
    segments = name.split("/")
    legal = all(segment not in ("", ".", "..") and len(segment.encode()) <= 255 for segment in segments)
    if not legal or not name.isprintable() or "\\" in name:
        raise InvalidCode(f"The entry {name!r} does not stay within the folder.", path=name)


def _write(archive: BinaryIO, header: _Header, path: Path) -> None:
    mode = 0o755 if header.executable else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file:
        remaining = header.size_bytes
        while remaining:
            piece = archive.read(min(remaining, _COPY_BYTES))
            if not piece:
                raise InvalidCode("The archive ends within a file.", path=header.name)
            file.write(piece)
            remaining -= len(piece)
