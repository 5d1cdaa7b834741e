"""Opening what a DataPath names, whatever kind of place it is in. Everything here blocks."""

import contextlib
import dataclasses
import hashlib
import os
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import obstore
import pyarrow as pa

from chassis.blobs.scratch import Scratch
from headwater.errors import HeadwaterError
from headwater.files import Source, split_by
from headwater.files.errors import SourceChanged, SourceNotFound
from headwater.files.sql import DriverMissing
from headwater.files.walk import Found, find_files, stamp
from services.dataset.datastores import databases, objects
from services.dataset.datastores.allowed import Allowed
from services.dataset.datastores.errors import (
    DataPathChanged,
    DataPathNotFound,
    DataPathUnreadable,
    InvalidCredentials,
)
from services.dataset.datastores.model import LocalFolder, Place, SqlDatabase
from services.dataset.datastores.sealing import Credentials
from services.dataset.datastores.spool import Spool, SpooledFile
from services.dataset.history.definition import DataPath, PathKind

_OURS = ("services.", "chassis.")


@dataclasses.dataclass(frozen=True, slots=True)
class PlaceLimits:
    """See the settings of the same names."""

    spool_max_bytes: int
    statement_timeout_s: float


class Rows(Protocol):
    """Rows that are somewhere else, split by split, in the order that they have there."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits' names; a rule that looks at rows reads them for it, once."""
        ...

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The split's rows in batches of 1 to 4 MiB."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class OpenPath:
    """What a DataPath names, open for reading. For one thread at a time."""

    rows: Rows
    fingerprint: str
    """Changes when a file does (M-23); empty where that cannot be told."""
    plain: "_Plain" = dataclasses.field(repr=False)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        return self.rows.schema

    @property
    def splits(self) -> tuple[str, ...]:
        """See Rows. Raises what ``Places.open`` does."""
        with self.plain.told():
            return self.rows.splits

    def batches(self, split: str) -> Generator[pa.RecordBatch, None, None]:
        """See Rows. Raises what ``Places.open`` does."""
        with self.plain.told():
            yield from self.rows.batches(split)


class Places:
    """Reads places that the settings allow."""

    def __init__(self, allowed: Allowed, limits: PlaceLimits) -> None:
        self._allowed = allowed
        self._limits = limits
        self._scratch: Scratch | None = None

    def check_place(self, place: Place, credentials: Credentials) -> None:
        """Go on if the place is one that may be read, with credentials that it takes; asks nobody.

        Raises:
            PlaceNotAllowed, PlaceIsFile, InvalidPlace, InvalidCredentials
        """
        for name in credentials.values:
            if name not in place.credentials:
                raise InvalidCredentials(credential=name, known=", ".join(sorted(place.credentials)))
        if isinstance(place, LocalFolder):
            self._allowed.folder(place.path)
        elif isinstance(place, SqlDatabase):
            databases.check_credentials(place, credentials)
            databases.check_database(place, self._allowed)
        else:
            objects.check_credentials(place, credentials)
            objects.check_endpoint(place, self._allowed)

    def reach(self, place: Place, credentials: Credentials) -> float:
        """Try to reach the place; returns the seconds that it took.

        Raises:
            PlaceNotAllowed, PlaceUnreachable, PlaceRefuses, and what ``check_place`` does.
        """
        begun = time.monotonic()
        self.check_place(place, credentials)
        if isinstance(place, SqlDatabase):
            with databases.connected(place, credentials, self._allowed, self._limits.statement_timeout_s):
                pass
        elif not isinstance(place, LocalFolder):
            with objects.open_bucket(place, credentials, self._allowed) as store, objects.told():
                next(iter(obstore.list(store, chunk_size=1)), None)
        return time.monotonic() - begun

    def fingerprint(self, place: Place, credentials: Credentials, path: DataPath) -> str:
        """The fingerprint that ``open`` would give now, without opening a file; empty for databases.

        Raises:
            PlaceNotAllowed, PlaceUnreachable, PlaceRefuses, DataPathNotFound, DataPathUnreadable
        """
        if isinstance(place, SqlDatabase):
            return ""
        with self._files(place, credentials, path) as (files, _):
            return _stamp(files)

    @contextlib.contextmanager
    def open(self, place: Place, credentials: Credentials, path: DataPath) -> Iterator[OpenPath]:
        """What the path names; what does not fit into memory stays on disk, at most as much as the limits say.

        Raises (also while rows are read):
            PlaceNotAllowed, PlaceUnreachable, PlaceRefuses, DriverMissing
            DataPathNotFound, DataPathUnreadable, DataPathChanged, SpoolTooSmall, SpoolFull
        """
        if isinstance(place, SqlDatabase):
            with self._query(place, credentials, path) as opened:
                yield opened
            return
        with self._files(place, credentials, path) as (files, plain):
            with plain.told():
                rows = Source(files, split_by(path.split_by) if path.split_by else None)
            yield OpenPath(rows, _stamp(files), plain)

    def close(self) -> None:
        """Remove what is left on disk."""
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    @contextlib.contextmanager
    def _query(self, place: SqlDatabase, credentials: Credentials, path: DataPath) -> Iterator[OpenPath]:
        is_table = path.kind is PathKind.SQL_TABLE
        query = f"SELECT * FROM {databases.quoted(path.path)}" if is_table else path.path  # noqa: S608
        rule = split_by(path.split_by) if path.split_by else None
        plain = _Plain(credentials)
        timeout_s = self._limits.statement_timeout_s
        with databases.connected(place, credentials, self._allowed, timeout_s) as connection:
            with plain.told():
                rows = databases.source_of(connection, query, rule)
            yield OpenPath(rows, "", plain)

    @contextlib.contextmanager
    def _files(
        self, place: Place, credentials: Credentials, path: DataPath
    ) -> "Iterator[tuple[Sequence[Found], _Plain]]":
        if isinstance(place, LocalFolder):
            root = self._allowed.folder(place.path)
            target = Path(os.path.realpath(root / path.path))
            if not target.is_relative_to(root):
                raise DataPathNotFound(path=path.path)
            plain = _Plain(credentials, folder=target if target.is_dir() else target.parent)
            with plain.told():
                yield find_files(target), plain
            return
        assert not isinstance(place, SqlDatabase)
        if self._scratch is None:
            self._scratch = Scratch()
        with (
            objects.open_bucket(place, credentials, self._allowed) as store,
            Spool(store, self._scratch, self._limits.spool_max_bytes) as spool,
        ):
            files = spool.files(path.path)
            if not files:
                raise DataPathNotFound(path=path.path)
            yield files, _Plain(credentials, spool=spool)


@dataclasses.dataclass(frozen=True, slots=True)
class _Plain:
    """Takes what no caller may see out of what readers say: credentials, and where files are on this machine."""

    credentials: Credentials
    folder: Path | None = None
    spool: Spool | None = None

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """What the readers of files and queries raise, as errors of datastores."""
        try:
            yield
        except SourceNotFound:
            raise DataPathNotFound from None
        except SourceChanged as error:
            raise DataPathChanged(self._text(error)) from None
        except HeadwaterError as error:
            if type(error).__module__.startswith(_OURS) or isinstance(error, DriverMissing):
                raise
            raise DataPathUnreadable(self._text(error)) from None

    def _text(self, error: HeadwaterError) -> str:
        text = error.message
        if self.spool is not None:
            text = self.spool.plain(text)
        if self.folder is not None:
            text = text.replace(f"{self.folder}/", "").replace(str(self.folder), "the folder")
        return self.credentials.scrub(text)


def _stamp(files: Sequence[Found]) -> str:
    seen = hashlib.sha256(stamp(files))
    for file in files:
        if isinstance(file, SpooledFile):
            seen.update(f"{file.etag}\0".encode())
    return f"sha256:{seen.hexdigest()}"
