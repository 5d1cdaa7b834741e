"""Files of object stores for readers that want files: copied here when they are opened, dropped when there is no room.

A file's place here is a digest of its name (promise 13). It is the file that was listed, or none: an object that was
written to since is refused by its etag.
"""

import collections
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import obstore
from obstore.store import ObjectStore

from chassis.blobs.scratch import Scratch
from chassis.ids import new_id
from headwater.errors import ResourceExhausted
from headwater.files.walk import Found
from services.dataset.datastores.errors import DataPathChanged, DataPathUnreadable
from services.dataset.datastores.objects import told

MAX_FILES = 1 << 20
_READ_BYTES = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class SpoolTooSmall(ResourceExhausted):
    """A file is larger than all that may be copied of one place at once."""

    reason = "SPOOL_TOO_SMALL"
    text = "A file is larger than HEADWATER_DATASTORE_SPOOL_MAX_BYTES."


class SpoolFull(ResourceExhausted):
    """This machine's disk has no room for the copy of a file."""

    reason = "SPOOL_FULL"
    text = "The dataset service's disk has no room for the copy of a file."


class SpooledFile(Found):
    """An object that looks like a file: who wants to know where it is gets a copy first."""

    key: str
    etag: str
    spool: "Spool"

    @property
    def location(self) -> str:
        """Where the copy is, until others are asked for; a file that is open then stays readable."""
        return str(self.spool.fetch(self))

    @property
    def extension(self) -> str:
        """See Found; without a copy."""
        return os.path.splitext(self.name)[1].lower()


class Spool:
    """Copies of the objects of one store, ``max_bytes`` at most. For one thread; leaving it removes them."""

    def __init__(self, store: ObjectStore, scratch: Scratch, max_bytes: int) -> None:
        self._store = store
        self._folder = scratch.subfolder(f"spool-{new_id()}")
        self._max_bytes = max_bytes
        self._kept: collections.OrderedDict[Path, int] = collections.OrderedDict()
        self._names: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def files(self, path: str) -> list[SpooledFile]:
        """The object at ``path``, or, where it ends in ``/`` or is empty, all below it by name.

        What begins with a dot is passed over, as in folders.

        Raises:
            DataPathNotFound, DataPathUnreadable, PlaceUnreachable, PlaceRefuses, PlaceNotAllowed
        """
        with told(path):
            if path and not path.endswith("/"):
                return [self._found(obstore.head(self._store, path), path.rpartition("/")[2])]
            found = [file for page in obstore.list(self._store, path or None) for file in self._listed(page, path)]
        if len(found) > MAX_FILES:
            raise DataPathUnreadable(f"There are more than {MAX_FILES} files at the path.")
        found.sort(key=lambda file: file.name)
        return found

    def fetch(self, file: SpooledFile) -> Path:
        """Where the file's copy is; it is made if it is not there.

        Raises:
            SpoolTooSmall, SpoolFull, DataPathChanged, DataPathNotFound, PlaceUnreachable, PlaceRefuses
        """
        path = self._folder / hashlib.sha256(file.key.encode()).hexdigest()
        if path not in self._kept:
            self._make_room(file)
            self._copy(file, path)
            self._kept[path] = file.size_bytes
            self._names[path.name] = file.name
        self._kept.move_to_end(path)
        return path

    def plain(self, text: str) -> str:
        """The text with the files' own names in place of those of their copies."""
        for name, own in self._names.items():
            text = text.replace(f"{self._folder / name}", own)
        return text.replace(str(self._folder), "the spool")

    def _listed(self, page: Iterable[Any], path: str) -> Iterable[SpooledFile]:
        for meta in page:
            name = meta["path"].removeprefix(path)
            segments = name.split("/")
            if any(segment.startswith(".") for segment in segments) or (meta["size"] == 0 and name.endswith("/")):
                continue
            if "" in segments or _CONTROL.search(name):
                raise DataPathUnreadable(f"The path holds an object whose name is none that a file can have: {name!r}.")
            yield self._found(meta, name)

    def _found(self, meta: Any, name: str) -> SpooledFile:
        file = SpooledFile("", name, meta["size"], int(meta["last_modified"].timestamp() * 1e6) * 1000, 0, 0)
        file.key, file.etag, file.spool = meta["path"], meta["e_tag"] or "", self
        return file

    def _make_room(self, file: SpooledFile) -> None:
        if file.size_bytes > self._max_bytes:
            raise SpoolTooSmall(file=file.name, size_bytes=file.size_bytes, limit_bytes=self._max_bytes)
        while sum(self._kept.values()) + file.size_bytes > self._max_bytes:
            oldest, _ = self._kept.popitem(last=False)
            oldest.unlink(missing_ok=True)

    def _copy(self, file: SpooledFile, path: Path) -> None:
        with told(file.name):
            options: Any = {"if_match": file.etag} if file.etag else None
            chunks = obstore.get(self._store, file.key, options=options).stream(min_chunk_size=_READ_BYTES)
        left = file.size_bytes
        with open(path, "wb") as target:
            while True:
                with told(file.name):
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                left -= len(chunk)
                if left < 0:
                    break
                try:
                    target.write(chunk)
                except OSError as error:
                    raise SpoolFull(retry_after_ms=60_000) from error
        if left:
            path.unlink(missing_ok=True)
            raise DataPathChanged(path=file.name)
        # Readers look whether it is the file that was found.
        os.utime(path, ns=(file.modified_ns, file.modified_ns))
