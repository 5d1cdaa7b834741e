"""Datastores in memory."""

import dataclasses
import datetime
from collections.abc import Sequence

from headwater.names import DatastoreName
from services.dataset.datastores.errors import DatastoreAlreadyExists, DatastoreNotFound
from services.dataset.datastores.model import Datastore, DatastoreState


@dataclasses.dataclass
class DatastoreMemory:
    """What is remembered of datastores, by uid."""

    datastores: dict[str, Datastore] = dataclasses.field(default_factory=dict)
    sealed: dict[str, bytes] = dataclasses.field(default_factory=dict)


class MemoryDatastores:
    """See ``services.dataset.datastores.store.Datastores``."""

    _datastores: DatastoreMemory
    _now: datetime.datetime

    async def create_datastore(self, datastore: Datastore) -> Datastore:
        """See Datastores."""
        self._check_free(datastore)
        created = dataclasses.replace(datastore, create_time=self._now, revision=1, credential_names=())
        self._datastores.datastores[datastore.uid] = created
        return created

    async def get_datastore(self, name: DatastoreName, *, lock: bool = False) -> Datastore:
        """See Datastores."""
        for known in self._datastores.datastores.values():
            if known.name.project == name.project and name.datastore in (known.name.datastore, known.uid):
                return known
        raise DatastoreNotFound(datastore=name)

    async def datastore_with(self, uid: str) -> Datastore:
        """See Datastores."""
        if uid not in self._datastores.datastores:
            raise DatastoreNotFound(datastore=uid)
        return self._datastores.datastores[uid]

    async def list_datastores(self, project: str, after: str, limit: int, *, archived: bool) -> Sequence[Datastore]:
        """See Datastores."""
        known = [
            datastore
            for datastore in self._datastores.datastores.values()
            if datastore.name.project == project
            and datastore.name.datastore > after
            and (archived or datastore.state is DatastoreState.ACTIVE)
        ]
        return sorted(known, key=lambda datastore: datastore.name.datastore)[:limit]

    async def update_datastore(self, datastore: Datastore) -> Datastore:
        """See Datastores."""
        self._check_free(datastore)
        before = await self.datastore_with(datastore.uid)
        self._datastores.datastores[datastore.uid] = dataclasses.replace(datastore, revision=before.revision + 1)
        return self._datastores.datastores[datastore.uid]

    async def set_credentials(self, uid: str, names: Sequence[str], sealed: bytes) -> Datastore:
        """See Datastores."""
        self._datastores.sealed[uid] = sealed if names else b""
        before = await self.datastore_with(uid)
        changed = dataclasses.replace(before, credential_names=tuple(sorted(names)), revision=before.revision + 1)
        self._datastores.datastores[uid] = changed
        return changed

    async def sealed_credentials(self, uid: str) -> bytes:
        """See Datastores."""
        return self._datastores.sealed.get(uid, b"")

    def _check_free(self, datastore: Datastore) -> None:
        for known in self._datastores.datastores.values():
            same = known.name.project == datastore.name.project
            same = same and known.name.datastore.lower() == datastore.name.datastore.lower()
            if same and known.uid != datastore.uid:
                raise DatastoreAlreadyExists(datastore=datastore.name)
