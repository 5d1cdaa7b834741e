"""Use cases of datastores: create, look up, rename, give credentials, archive, try to reach."""

import asyncio
import dataclasses

from chassis import etags
from chassis.clock import SystemClock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import DatastoreName, ProjectName
from services.dataset.datastores.errors import DatastoreArchived, NameLooksLikeUid
from services.dataset.datastores.model import Datastore, DatastoreState, Place, looks_like_uid
from services.dataset.datastores.places import Places
from services.dataset.datastores.sealing import Credentials, Seal
from services.dataset.store import Store, Transaction


@dataclasses.dataclass(frozen=True, slots=True)
class NewDatastore:
    """What CreateDatastore asks for."""

    name: DatastoreName
    display_name: str
    place: Place
    credentials: Credentials
    author: str
    request_id: str
    body: str
    """Digest of the request by ``Seal.digest``, for its replay."""


class Datastores:
    """Datastores. ``size`` and ``token`` are those of AIP-158."""

    def __init__(self, store: Store, seal: Seal, places: Places) -> None:
        self._store = store
        self._seal = seal
        self._places = places

    async def create(self, new: NewDatastore) -> Datastore:
        """Create a datastore.

        Raises:
            DatastoreAlreadyExists, NameLooksLikeUid, RequestIdReused
            PlaceNotAllowed, PlaceIsFile, InvalidPlace: the place is not one that may be read.
            InvalidCredentials, CredentialsNeedAuthentication
        """
        if looks_like_uid(new.name.datastore):
            raise NameLooksLikeUid(datastore=new.name)
        await asyncio.to_thread(self._places.check_place, new.place, new.credentials)
        uid = new_id()
        sealed = self._seal.seal(uid, new.credentials)
        async with self._store.transaction() as tx:
            first = await tx.first_result("CreateDatastore", new.request_id, new.body)
            if first is not None:
                return await tx.datastore_with(first)
            now = SystemClock().now()
            made = await tx.create_datastore(Datastore(uid, new.name, new.display_name, new.place, new.author, now))
            if sealed:
                made = await tx.set_credentials(uid, sorted(new.credentials.values), sealed)
            await tx.remember("CreateDatastore", new.request_id, new.body, uid)
            return made

    async def get(self, name: DatastoreName) -> Datastore:
        """One datastore, also an archived one by its uid; or DatastoreNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_datastore(name)

    async def list(self, project: ProjectName, size: int, token: str, *, archived: bool = False) -> Page[Datastore]:
        """Datastores of a project by name; with the archived ones, if ``archived``."""
        limit, query = page_size(size), query_digest("datastores", project, archived)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            begin = str(after[0]) if after else ""
            rows = await tx.list_datastores(project.project, begin, limit + 1, archived=archived)
        return page_of(rows, limit, key=lambda datastore: (datastore.name.datastore,), query=query)

    async def rename(self, name: DatastoreName, new: str, etag: str) -> Datastore:
        """Give a datastore another name; what refers to it goes on to do so (M-13).

        Raises:
            DatastoreNotFound, DatastoreArchived, DatastoreAlreadyExists, NameLooksLikeUid, EtagMismatch
        """
        if looks_like_uid(new):
            raise NameLooksLikeUid(datastore=new)
        async with self._store.transaction() as tx:
            before = await _locked(tx, name, etag)
            return await tx.update_datastore(
                dataclasses.replace(before, name=dataclasses.replace(before.name, datastore=new))
            )

    async def set_credentials(self, name: DatastoreName, credentials: Credentials) -> Datastore:
        """Replace the credentials; none removes them.

        Raises:
            DatastoreNotFound, DatastoreArchived, InvalidCredentials, CredentialsNeedAuthentication
            PlaceNotAllowed, PlaceIsFile, InvalidPlace
        """
        async with self._store.transaction() as tx:
            place = usable(await tx.get_datastore(name)).place
        await asyncio.to_thread(self._places.check_place, place, credentials)
        async with self._store.transaction() as tx:
            datastore = await _locked(tx, name, "")
            sealed = self._seal.seal(datastore.uid, credentials)
            return await tx.set_credentials(datastore.uid, sorted(credentials.values), sealed)

    async def archive(self, name: DatastoreName, etag: str) -> Datastore:
        """Take a datastore out of use: its name is free, and its credentials are gone.

        Archiving it again changes nothing.

        Raises:
            DatastoreNotFound, EtagMismatch
        """
        async with self._store.transaction() as tx:
            before = await tx.get_datastore(name, lock=True)
            etags.check(etag, etags.etag_of(before.revision))
            if before.state is DatastoreState.ARCHIVED:
                return before
            if before.credential_names:
                await tx.set_credentials(before.uid, [], b"")
            return await tx.update_datastore(
                dataclasses.replace(
                    before,
                    name=dataclasses.replace(before.name, datastore=before.uid),
                    # What it was called is worth knowing for those who find it in the history.
                    display_name=before.display_name or before.name.datastore,
                    state=DatastoreState.ARCHIVED,
                )
            )

    async def check(self, name: DatastoreName) -> float:
        """Try to reach the place; returns the seconds that it took.

        Raises:
            DatastoreNotFound, DatastoreArchived, CredentialsUnreadable, CredentialsNeedAuthentication
            PlaceNotAllowed, PlaceUnreachable, PlaceRefuses
        """
        async with self._store.transaction() as tx:
            datastore = usable(await tx.get_datastore(name))
            credentials = await unsealed(tx, self._seal, datastore)
        return await asyncio.to_thread(self._places.reach, datastore.place, credentials)


def usable(datastore: Datastore) -> Datastore:
    """The datastore, or DatastoreArchived."""
    if datastore.state is DatastoreState.ARCHIVED:
        raise DatastoreArchived(datastore=datastore.name, was=datastore.display_name)
    return datastore


async def unsealed(tx: Transaction, seal: Seal, datastore: Datastore) -> Credentials:
    """The datastore's credentials, or CredentialsUnreadable, CredentialsNeedAuthentication."""
    return seal.open(datastore.uid, await tx.sealed_credentials(datastore.uid))


async def _locked(tx: Transaction, name: DatastoreName, etag: str) -> Datastore:
    datastore = usable(await tx.get_datastore(name, lock=True))
    etags.check(etag, etags.etag_of(datastore.revision))
    return datastore
