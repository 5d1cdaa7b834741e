"""Reading the rows of a pointer version where they are."""

import contextlib
import threading
from collections.abc import Iterator

from services.dataset.datastores.datastores import unsealed, usable
from services.dataset.datastores.errors import TooManyDatastoreReads
from services.dataset.datastores.model import Place
from services.dataset.datastores.places import OpenPath, Places
from services.dataset.datastores.sealing import Credentials, Seal
from services.dataset.history.definition import DataPath
from services.dataset.store import Store


class Located:
    """A DataPath whose datastore and credentials are known. Its methods block: for threads other than the loop's."""

    def __init__(
        self, place: Place, credentials: Credentials, path: DataPath, places: Places, slots: threading.BoundedSemaphore
    ) -> None:
        self._place = place
        self._credentials = credentials
        self._path = path
        self._places = places
        self._slots = slots

    def fingerprint(self) -> str:
        """See Places."""
        with self._slot():
            return self._places.fingerprint(self._place, self._credentials, self._path)

    @contextlib.contextmanager
    def open(self) -> Iterator[OpenPath]:
        """See Places; raises TooManyDatastoreReads too."""
        with self._slot(), self._places.open(self._place, self._credentials, self._path) as opened:
            yield opened

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(blocking=False):
            raise TooManyDatastoreReads(retry_after_ms=5000)
        try:
            yield
        finally:
            self._slots.release()


class LivePaths:
    """Finds out where DataPaths lead. ``max_reads`` of them are read at once, by whomever."""

    def __init__(self, store: Store, seal: Seal, places: Places, max_reads: int) -> None:
        self._store = store
        self._seal = seal
        self._places = places
        self._slots = threading.BoundedSemaphore(max_reads)

    async def locate(self, path: DataPath) -> Located:
        """Where the path leads now.

        Raises:
            DatastoreArchived, CredentialsUnreadable, CredentialsNeedAuthentication
        """
        async with self._store.transaction() as tx:
            datastore = usable(await tx.datastore_with(path.datastore_uid))
            credentials = await unsealed(tx, self._seal, datastore)
        return Located(datastore.place, credentials, path, self._places, self._slots)
