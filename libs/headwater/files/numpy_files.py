"""NumPy files: ``.npy``, one array, and ``.npz``, one array for each column. Nothing is ever unpickled.

Rows lie along the first axis. The fields of a structured array are columns; any other array is the column ``value``,
or in an ``.npz`` the column that it is named after, with lists of a fixed size for its further axes.
"""

import ast
import contextlib
import functools
import math
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.files.errors import SourceMalformed
from headwater.files.numpy_types import UnsupportedDtype, arrow_type, to_arrow
from headwater.files.opened import Opened
from headwater.files.walk import Found
from headwater.files.zips import check_directory

_BATCH_BYTES = 2 << 20
_BATCH_ROWS = 1 << 14
_COPY_BYTES = 1 << 20
MAX_COLUMNS = 10_000
_MAX_HEADER_BYTES = 1 << 18
_MAX_AXES = 30
_BAD = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    SyntaxError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    EOFError,
)
"""What is raised for headers that are not those of arrays; they are parsed as literals, never evaluated."""

Part = Callable[[int, int], npt.NDArray[Any]]
"""Rows of an array, from the one up to the other; asked for in order."""


class _Array:
    """An array as its header describes it, and where its rows come from."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], part: Part) -> None:
        self.shape, self.dtype, self.part = shape, dtype, part
        self.kind = arrow_type(dtype, shape[1:])

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape[1:])


@contextlib.contextmanager
def open_npy(file: Found, _types: pa.Schema | None) -> Iterator[Opened]:
    """An ``.npy`` file; one in Fortran order is mapped into memory, any other read."""
    with open(file.location, "rb") as stream:
        with _named(file, ""):
            array = _array(stream, file.size_bytes, lambda: stream)
        columns = {"value": array}
        if array.dtype.names is not None and len(array.shape) == 1:
            columns = _fields(array)
        opened = _opened(columns, array.shape[0])
        yield Opened(opened.schema, _guarded(opened.batches, file))


@contextlib.contextmanager
def open_npz(file: Found, _types: pa.Schema | None) -> Iterator[Opened]:
    """An ``.npz`` file, its arrays read side by side; one in Fortran order by way of a temporary file."""
    with contextlib.ExitStack() as stack:
        with _named(file, ""):
            stream = stack.enter_context(open(file.location, "rb"))
            check_directory(stream, file.size_bytes, MAX_COLUMNS)
            archive = stack.enter_context(zipfile.ZipFile(stream))
        columns: dict[str, _Array] = {}
        for member in archive.infolist():
            with _named(file, member.filename):
                name = member.filename.removesuffix(".npy")
                if name == member.filename or name in columns:
                    raise ValueError("it is no array, or there are two of its name")
                member_stream = stack.enter_context(archive.open(member))
                columns[name] = _array(
                    member_stream, member.file_size, functools.partial(_copied, member_stream, stack)
                )
        lengths = {name: array.shape[0] for name, array in columns.items()}
        with _named(file, ""):
            if len(set(lengths.values())) > 1:
                raise ValueError(f"its arrays have different numbers of rows: {lengths}")
            if not columns:
                raise ValueError("it holds no array")
        opened = _opened(columns, next(iter(lengths.values())))
        yield Opened(opened.schema, _guarded(opened.batches, file))


def _array(stream: IO[bytes], size_bytes: int, seekable: Callable[[], IO[bytes]]) -> _Array:
    """An array that is read from the stream's beginning; ``seekable`` is asked for when that cannot be in order."""
    shape, fortran, dtype = _header(stream)
    offset = stream.tell()
    row_bytes = _check_size(shape, dtype, size_bytes - offset)
    if fortran and len(shape) > 1:
        mapped: list[Any] = []

        def part(start: int, stop: int) -> npt.NDArray[Any]:
            if not mapped:
                source: Any = seekable()
                mapped.append(np.memmap(source, dtype, "r", offset, shape, "F"))
            return mapped[0][start:stop]  # type: ignore[no-any-return]

        return _Array(shape, dtype, part)

    def read(start: int, stop: int) -> npt.NDArray[Any]:
        data = _exactly(stream, (stop - start) * row_bytes)
        if stop == shape[0] and stream.read(1):  # at the end of an archive's member its checksum is checked
            raise ValueError("it goes on after its last row")
        return np.frombuffer(data, dtype).reshape(stop - start, *shape[1:])

    return _Array(shape, dtype, read)


def _copied(stream: IO[bytes], stack: contextlib.ExitStack) -> IO[bytes]:
    """A temporary file with all that the stream holds."""
    file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it
    stream.seek(0)
    while data := stream.read(_COPY_BYTES):
        file.write(data)
    file.flush()
    return file


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = stream.read(min(_COPY_BYTES, size - len(data)))
        if not more:
            raise EOFError("it ends before its header or its last row does")
        data += more
    return bytes(data)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type: https://numpy.org/neps/nep-0001-npy-format.html.

    Read here and not by NumPy, which tokenizes it as Python before it takes it for a literal.
    """
    magic = _exactly(stream, 8)
    if not magic.startswith(b"\x93NUMPY") or magic[6] not in (1, 2, 3):
        raise ValueError("it does not begin as an array of the versions 1 to 3 does")
    size = int.from_bytes(_exactly(stream, 2 if magic[6] == 1 else 4), "little")
    if size > _MAX_HEADER_BYTES:
        raise ValueError(f"its header has {size} bytes")
    header = ast.literal_eval(_exactly(stream, size).decode("utf-8" if magic[6] == 3 else "latin-1").strip())
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header does not say descr, fortran_order and shape")
    shape, fortran = header["shape"], header["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size < 2**63 for size in shape):
        raise ValueError("its shape is none")
    if not shape or len(shape) > _MAX_AXES:
        raise ValueError("it is a single value without rows" if not shape else "it has too many axes")
    if type(fortran) is not bool:
        raise ValueError("its order is none")
    return shape, fortran, np.lib.format.descr_to_dtype(header["descr"])


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], size_bytes: int) -> int:
    """The bytes of a row, when there are as many rows as the header says."""
    arrow_type(dtype, shape[1:])  # before anything is taken for values, which objects must never be
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    if row_bytes == 0:
        raise UnsupportedDtype(f"a row of {dtype} and shape {shape[1:]} has no bytes")
    if row_bytes * shape[0] != size_bytes:
        raise ValueError(f"its header says {row_bytes * shape[0]} bytes of rows and there are {size_bytes}")
    return row_bytes


def _fields(array: _Array) -> dict[str, _Array]:
    """The fields of a structured array, which read each part of it once."""
    last: list[Any] = [None, None]

    def part(start: int, stop: int) -> npt.NDArray[Any]:
        if last[0] != (start, stop):
            last[:] = (start, stop), array.part(start, stop)
        return last[1]  # type: ignore[no-any-return]

    def field(name: str) -> _Array:
        dtype = array.dtype.fields[name][0]  # type: ignore[index]
        base, own = dtype.subdtype or (dtype, ())
        return _Array((*array.shape, *own), base, lambda start, stop: part(start, stop)[name])

    return {name: field(name) for name in array.dtype.names or ()}


def _opened(columns: dict[str, _Array], rows: int) -> Opened:
    schema = pa.schema([(name, array.kind) for name, array in columns.items()])
    row_bytes = max(1, sum(array.row_bytes for array in columns.values()))
    step = max(1, min(_BATCH_ROWS, _BATCH_BYTES // row_bytes))

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, step):
            stop = min(rows, start + step)
            yield pa.record_batch([to_arrow(array.part(start, stop)) for array in columns.values()], schema=schema)

    return Opened(schema, batches())


def _guarded(batches: Iterator[pa.RecordBatch], file: Found) -> Iterator[pa.RecordBatch]:
    """The batches of an archive, whose faults are found while it is unpacked."""
    while True:
        with _named(file, ""):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextlib.contextmanager
def _named(file: Found, member: str) -> Iterator[None]:
    """Name the file, and the array within, in whatever is wrong with it."""
    try:
        yield
    except (*_BAD, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        where = f"{file.location}, array {member[:200]!r}" if member else file.location
        why = str(error)[:500] or type(error).__name__
        raise SourceMalformed(f"{where} cannot be read as rows: {why}.", path=file.location) from error
