"""Records packed: some hundred of a project as bytes, of which one can be read without the others (docs/adr/0024).

    request ids   16 bytes each
    rows          of _ROW, 108 bytes each, little-endian
    words         JSON: what the records have in common, by number; client request ids and the like where there are any;
                  and how large the bodies are

The bodies are bytes of their own, in the order of the records.
"""

import dataclasses
import datetime
import itertools
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from services.inference.records.model import Record, RecordQuery
from services.inference.records.pacing import pause
from services.inference.records.store import fitting

MAX_ROWS = 1_000
"""More records are not packed together, so that one of them is found in a tenth of a millisecond."""
ID_BYTES = 16

_VERSION = 1
_ROW = np.dtype(
    [
        ("request_digest", "V32"),  # zero: none
        ("response_digest", "V32"),
        ("time_us", "<i8"),
        ("latency_ms", "<f8"),
        ("batch_rows", "<i4"),
        ("rows", "<i4"),
        ("request_bytes", "<i8"),
        ("response_bytes", "<i8"),
        ("shared", "<u4"),
    ]
)
_UNPACK = struct.Struct("<32s32sqdiiqqI")
"""One row of those."""
_DIGESTS = ("request_digest", "response_digest")
_NUMBERS = ("latency_ms", "batch_rows", "rows", "request_bytes", "response_bytes")
_OTHERS = ("request_id", "request_time", "client_request_id", "part_of")
_NO_DIGEST = bytes(32)
_NO_DIGITS = _NO_DIGEST.hex()
_DIGEST = "sha256:"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SHARED = (
    "deployment",
    "model_version",
    "result",
    "model_digest",
    "caller",
    "inputs",
    "outputs",
    "preprocessing_digest",
    "is_final",
    "variant",
    "body_reason",
    "redacted",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """Packed records of one project, and what tells without unpacking them whether one that is wanted can be there."""

    project: str
    row_count: int
    first_request_id: str
    last_request_id: str
    first_time: datetime.datetime
    last_time: datetime.datetime
    deployments: Sequence[str]
    model_versions: Sequence[str]
    results: Sequence[str]
    content: bytes
    bodies: bytes

    @property
    def ids(self) -> list[bytes]:
        """The request ids."""
        return split_ids(self.content[: self.row_count * ID_BYTES])


def pack(records: Iterable[Record]) -> list[Chunk]:
    """The records by project, each in the order in which they come. To be called in a thread."""
    by_project: dict[str, list[Record]] = {}
    for record in records:
        by_project.setdefault(record.project, []).append(record)
    return [_packed(part) for of_project in by_project.values() for part in _parts(of_project)]


def split_ids(ids: bytes) -> list[bytes]:
    """The request ids that packed records begin with."""
    return [ids[start : start + ID_BYTES] for start in range(0, len(ids), ID_BYTES)]


def to_id_bytes(request_id: str) -> bytes:
    """A request id as it is packed."""
    return bytes.fromhex(request_id.replace("-", ""))


class Packed:
    """Packed records to be read one by one; with their bodies if all of these are given."""

    def __init__(self, project: str, first_sequence: int, row_count: int, content: bytes, bodies: bytes | None) -> None:
        self._project = project
        self._first_sequence = first_sequence
        self._content = content
        self._bodies = bodies
        self._rows_at = row_count * ID_BYTES
        self.row_count = row_count
        words = json.loads(content[self._rows_at + row_count * _ROW.itemsize :])
        assert words["version"] == _VERSION
        self._shared = [dict(zip(_SHARED, values, strict=True)) for values in words["shared"]]
        self._client_ids: Sequence[str] = words["client_request_ids"]
        self._parts_of: Mapping[str, str] = words["parts_of"]
        self._body_sizes: Mapping[str, tuple[int | None, int | None]] = words["bodies"]
        sizes = map(_total, self._body_sizes.values())
        self._body_starts = dict(zip(self._body_sizes, itertools.accumulate(sizes, initial=0), strict=False))

    def find(self, request_id: str) -> int | None:
        """Where the record with this id is."""
        ids = split_ids(self._content[: self._rows_at])
        wanted = to_id_bytes(request_id)
        return ids.index(wanted) if wanted in ids else None

    def places(self, first_sequence: int, last_sequence: int) -> range:
        """Where the records with these numbers are."""
        first, last = first_sequence - self._first_sequence, last_sequence - self._first_sequence
        return range(max(first, 0), min(last + 1, self.row_count))

    def body_span(self, place: int) -> tuple[int, int]:
        """Where among all bodies those of a record begin, and how many bytes they have."""
        sizes = self._body_sizes.get(str(place), (0, 0))
        return self._body_starts.get(str(place), 0), _total(sizes)

    def record(self, place: int, bodies: bytes | None = None) -> Record:
        """The record at this place. ``bodies`` are the bytes of its ``body_span``, where it needs those alone."""
        if bodies is None and self._bodies is not None:
            start, size_bytes = self.body_span(place)
            bodies = self._bodies[start : start + size_bytes]
        plain = self._plain(place)
        if bodies is None or str(place) not in self._body_sizes:
            return plain
        request_size, response_size = self._body_sizes[str(place)]
        return plain._replace(
            request_body=None if request_size is None else bodies[:request_size],
            response_body=None if response_size is None else bodies[request_size or 0 :],
        )

    def chosen(self, query: RecordQuery | None, places: Iterable[int]) -> Iterator[Record]:
        """Those of the records at these places that are wanted."""
        for place in places:
            record = self.record(place)
            if query is None or query.admits(record):
                yield record

    def _plain(self, place: int) -> Record:
        row = _UNPACK.unpack_from(self._content, self._rows_at + place * _ROW.itemsize)
        request_digest, response_digest, time_us, latency_ms, batch_rows, rows, *sizes, shared = row
        digits = self._content[place * ID_BYTES : (place + 1) * ID_BYTES].hex()
        return Record(
            project=self._project,
            request_id=f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}",
            request_digest=_to_digest(request_digest),
            response_digest=_to_digest(response_digest),
            request_time=_EPOCH + datetime.timedelta(microseconds=time_us),
            latency_ms=latency_ms,
            batch_rows=batch_rows,
            rows=rows,
            request_bytes=sizes[0],
            response_bytes=sizes[1],
            client_request_id=self._client_ids[place] if self._client_ids else "",
            part_of=self._parts_of.get(str(place), "") if self._parts_of else "",
            sequence=self._first_sequence + place,
            **self._shared[shared],
        )


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    while records:
        part = records[:MAX_ROWS]
        if any(record.has_bodies for record in part):
            part = part[: fitting(record.body_bytes for record in part)]
        yield part
        pause()
        records = records[len(part) :]


def _packed(records: Sequence[Record]) -> Chunk:
    # By columns, since what is done for each record in Python takes three times as long.
    columns = dict(zip(Record._fields, zip(*records, strict=True), strict=True))
    numbers: dict[tuple[Any, ...], int] = {}
    shared = zip(*(columns[name] for name in _SHARED), strict=True)
    rows = np.zeros(len(records), _ROW)
    rows["shared"] = [numbers.setdefault(each, len(numbers)) for each in shared]
    rows["time_us"] = [round(time.timestamp() * 1_000_000) for time in columns["request_time"]]
    for name in _DIGESTS:
        rows[name] = np.frombuffer(bytes.fromhex("".join([each[7:] or _NO_DIGITS for each in columns[name]])), "V32")
    for name in _NUMBERS:
        rows[name] = columns[name]
    ids, times, client_ids, parts_of = (columns[name] for name in _OTHERS)
    with_bodies = [(str(place), each) for place, each in enumerate(records) if each.has_bodies]
    words = {
        "version": _VERSION,
        "shared": list(numbers),
        "client_request_ids": client_ids if any(client_ids) else [],
        "parts_of": {str(place): part_of for place, part_of in enumerate(parts_of) if part_of},
        "bodies": {place: (_size(each.request_body), _size(each.response_body)) for place, each in with_bodies},
    }
    deployments, model_versions, results, *_ = zip(*numbers, strict=True)
    return Chunk(
        project=records[0].project,
        row_count=len(records),
        first_request_id=min(ids),
        last_request_id=max(ids),
        first_time=min(times),
        last_time=max(times),
        deployments=sorted(set(deployments)),
        model_versions=sorted(set(model_versions)),
        results=sorted(set(results)),
        content=bytes.fromhex("".join(ids).replace("-", "")) + rows.tobytes() + json.dumps(words).encode(),
        bodies=b"".join([body for _, each in with_bodies for body in (each.request_body, each.response_body) if body]),
    )


def _total(sizes: tuple[int | None, int | None]) -> int:
    return sum(size or 0 for size in sizes)


def _size(body: bytes | None) -> int | None:
    return None if body is None else len(body)


def _to_digest(digest: bytes) -> str:
    return "" if digest == _NO_DIGEST else f"{_DIGEST}{digest.hex()}"
