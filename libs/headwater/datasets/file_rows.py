"""Files that are one row each, of which only those are read that changed since they were pushed last."""

import dataclasses
import itertools
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater import tree
from headwater.datasets.stat_cache import RACY_NS
from headwater.files.manifest import SourceFile
from headwater.files.source import Source
from headwater.files.walk import Found

_ENTRY = np.dtype(
    [
        ("stat", "<i8", 4),
        ("row_bytes", "<i8"),
        ("row_digest", f"V{tree.DIGEST_BYTES}"),
        ("file_digest", f"V{tree.DIGEST_BYTES}"),
    ]
)
_LENGTH = struct.Struct("<Q")


class KnownRows:
    """What is remembered of files: their stat data, and the digests of their contents and of the rows they make."""

    def __init__(self, schema: bytes, names: Sequence[str], entries: npt.NDArray[np.void]) -> None:
        """``schema`` is the digest of the schema that the rows have."""
        self.schema = schema
        self._names = names
        self._entries = entries
        self._at = {name: at for at, name in enumerate(names)}

    @classmethod
    def parse(cls, content: bytes | None) -> "KnownRows | None":
        """What ``serialize`` made; None for anything else."""
        try:
            (length,) = _LENGTH.unpack_from(content or b"")
            assert content is not None
            head = json.loads(content[_LENGTH.size : _LENGTH.size + length])
            entries = np.frombuffer(content, _ENTRY, offset=_LENGTH.size + length)
            known = cls(bytes.fromhex(head["schema"]), head["names"], entries)
        except (struct.error, ValueError, KeyError, TypeError):
            return None
        return known if len(known._names) == len(entries) else None

    def serialize(self) -> bytes:
        """As it is kept."""
        head = json.dumps({"schema": self.schema.hex(), "names": list(self._names)}).encode()
        return _LENGTH.pack(len(head)) + head + self._entries.tobytes()

    def find(self, files: Sequence[Found]) -> npt.NDArray[np.intp]:
        """For each file its entry's number, or -1 where it is not known as it is now."""
        at = np.array([self._at.get(file.name, -1) for file in files], np.intp)
        if len(self._entries):
            same = (self._entries["stat"][at] == _stats(files)).all(axis=1)
            at[~same] = -1
        return at

    def row_digests(self, at: npt.NDArray[np.intp]) -> bytes:
        """The digests of the rows of some entries, one after the other."""
        return self._entries["row_digest"][at].tobytes()

    def row_bytes(self, at: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """The sizes of the rows of some entries."""
        return np.asarray(self._entries["row_bytes"][at])

    def file_digest(self, at: int) -> bytes:
        """The digest of the content of an entry's file."""
        return bytes(self._entries["file_digest"][at])


@dataclasses.dataclass(frozen=True, slots=True)
class UnreadRows:
    """Rows whose files are read when the rows are wanted: what a ``tree.Chunk`` has in place of a batch."""

    source: Source
    files: Sequence[Found]

    @property
    def num_rows(self) -> int:
        """Rows: one for each file."""
        return len(self.files)

    def slice(self, start: int, count: int) -> "UnreadRows":
        """Some of them."""
        return UnreadRows(self.source, self.files[start : start + count])

    def load(self) -> Iterator[pa.RecordBatch]:
        """Read the files."""
        return self.source.read_files(self.files)


class FileRows:
    """A source of files that are one row each (``Source.files_of``), of which some are known from before."""

    def __init__(self, source: Source, known: KnownRows | None, looked_ns: int) -> None:
        """``looked_ns`` is when somebody began to look at the files' stat data, in nanoseconds since 1970."""
        self._source = source
        self.splits = source.splits
        self.schema = source.schema
        self._hasher = tree.RowHasher(source.schema)
        self._looked_ns = looked_ns
        is_same = known is not None and known.schema == self._hasher.schema_digest
        self._known = known if is_same and known is not None else KnownRows(b"", (), np.zeros(0, _ENTRY))
        self._rows: dict[str, tuple[bytes, int]] = {}

    @property
    def size_bytes(self) -> int:
        """See Source."""
        return self._source.size_bytes

    @property
    def file_bytes(self) -> Mapping[str, int]:
        """See Source."""
        return self._source.file_bytes

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """See RowSource."""
        return self._source.batches(split)

    def source_files(self) -> Iterable[SourceFile]:
        """See RowSource."""
        return self._source.source_files()

    def digested(self, split: str) -> Iterator[tree.RowDigests]:
        """See DigestedSource. Files that are known are not opened."""
        files = self._source.files_of(split)
        assert files is not None
        at = self._known.find(files)
        for start, end in _runs(at >= 0):
            run, known = files[start:end], at[start:end]
            yield from self._read(run) if known[0] < 0 else self._recall(run, known)

    def learned(self) -> KnownRows:
        """What is known after ``digested``, of the files that can be told from changed ones."""
        newest = self._looked_ns - RACY_NS
        files = [
            file
            for split in self.splits
            for file in self._source.files_of(split) or ()
            if file.name in self._rows and max(file.changed_ns, file.modified_ns) < newest
        ]
        entries = np.zeros(len(files), _ENTRY)
        if files:
            entries["stat"] = _stats(files)
            entries["row_bytes"] = [self._rows[file.name][1] for file in files]
            entries["row_digest"] = _joined(self._rows[file.name][0] for file in files)
            entries["file_digest"] = _joined(self._source.content_digest(file) for file in files)
        return KnownRows(self._hasher.schema_digest, [file.name for file in files], entries)

    def _recall(self, files: Sequence[Found], at: npt.NDArray[np.intp]) -> Iterator[tree.RowDigests]:
        digests, sizes = self._known.row_digests(at), self._known.row_bytes(at)
        for file, number in zip(files, at.tolist(), strict=True):
            self._source.know(file, self._known.file_digest(number))
        self._note(files, digests, sizes)
        yield tree.RowDigests(UnreadRows(self._source, files), digests, sizes)

    def _read(self, files: Sequence[Found]) -> Iterator[tree.RowDigests]:
        done = 0
        for batch in self._source.read_files(files):
            for rows in self._hasher.hash(batch):
                self._note(files[done : done + rows.rows.num_rows], rows.digests, rows.sizes)
                done += rows.rows.num_rows
                yield rows

    def _note(self, files: Sequence[Found], digests: bytes, sizes: npt.NDArray[np.int64]) -> None:
        step = tree.DIGEST_BYTES
        for number, (file, size) in enumerate(zip(files, sizes.tolist(), strict=True)):
            self._rows[file.name] = (digests[number * step : (number + 1) * step], size)


def _stats(files: Sequence[Found]) -> npt.NDArray[np.int64]:
    return np.array([file[2:] for file in files], np.int64)


def _joined(digests: Iterable[bytes]) -> npt.NDArray[np.void]:
    return np.frombuffer(b"".join(digests), f"V{tree.DIGEST_BYTES}")


def _runs(flags: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Beginning and end of each run of equal flags."""
    changes = (np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist()
    ends = [0, *changes, len(flags)] if len(flags) else []
    return itertools.pairwise(ends)
