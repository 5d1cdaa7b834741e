"""What must be remembered of datastores, as a Protocol."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import DatastoreName
from services.dataset.datastores.model import Datastore


class Datastores(Protocol):
    """Datastores and, apart from them, their sealed credentials."""

    async def create_datastore(self, datastore: Datastore) -> Datastore:
        """Add a datastore; its time and revision are the store's, and it has no credentials yet.

        Raises:
            DatastoreAlreadyExists: another one has the name, in whatever case.
        """
        ...

    async def get_datastore(self, name: DatastoreName, *, lock: bool = False) -> Datastore:
        """The datastore whose name or uid is the last segment; with ``lock``, nobody else changes it before the
        transaction ends.

        Raises:
            DatastoreNotFound
        """
        ...

    async def datastore_with(self, uid: str) -> Datastore:
        """The datastore of that uid. Raises what ``get_datastore`` does."""
        ...

    async def list_datastores(self, project: str, after: str, limit: int, *, archived: bool) -> Sequence[Datastore]:
        """Datastores by name, from the one after ``after``; with the archived ones, if ``archived``."""
        ...

    async def update_datastore(self, datastore: Datastore) -> Datastore:
        """Set its name, display name and state; its revision grows.

        Raises:
            DatastoreAlreadyExists
        """
        ...

    async def set_credentials(self, uid: str, names: Sequence[str], sealed: bytes) -> Datastore:
        """Keep these credentials in place of those that there were; no names: none. The revision grows."""
        ...

    async def sealed_credentials(self, uid: str) -> bytes:
        """What ``set_credentials`` was given; empty when there are none."""
        ...
