"""Datastores in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import DatastoreName
from services.dataset.datastores.errors import DatastoreAlreadyExists, DatastoreNotFound
from services.dataset.datastores.model import Datastore, DatastoreState, place_document, place_from
from services.dataset.datastores.tables import DATASTORE_CREDENTIALS, DATASTORES

_DATASTORES = sa.select(DATASTORES, DATASTORE_CREDENTIALS.c.names).outerjoin(
    DATASTORE_CREDENTIALS, DATASTORE_CREDENTIALS.c.datastore_uid == DATASTORES.c.uid
)


class PostgresDatastores:
    """See ``services.dataset.datastores.store.Datastores``."""

    _tx: AsyncConnection

    async def create_datastore(self, datastore: Datastore) -> Datastore:
        """See Datastores."""
        values = {
            "uid": datastore.uid,
            "project": datastore.name.project,
            "place": place_document(datastore.place),
            "created_by": datastore.created_by,
            **_changing(datastore),
        }
        await self._write(datastore, DATASTORES.insert().values(values))
        return await self.datastore_with(datastore.uid)

    async def get_datastore(self, name: DatastoreName, *, lock: bool = False) -> Datastore:
        """See Datastores."""
        named = sa.or_(DATASTORES.c.datastore == name.datastore, DATASTORES.c.uid == name.datastore)
        query = _DATASTORES.where(DATASTORES.c.project == name.project, named)
        row = (await self._tx.execute(query.with_for_update(of=DATASTORES) if lock else query)).first()
        if row is None:
            raise DatastoreNotFound(datastore=name)
        return _datastore(row)

    async def datastore_with(self, uid: str) -> Datastore:
        """See Datastores."""
        row = (await self._tx.execute(_DATASTORES.where(DATASTORES.c.uid == uid))).first()
        if row is None:
            raise DatastoreNotFound(datastore=uid)
        return _datastore(row)

    async def list_datastores(self, project: str, after: str, limit: int, *, archived: bool) -> Sequence[Datastore]:
        """See Datastores."""
        query = _DATASTORES.where(DATASTORES.c.project == project, DATASTORES.c.datastore > after)
        if not archived:
            query = query.where(DATASTORES.c.state == DatastoreState.ACTIVE.value)
        rows = await self._tx.execute(query.order_by(DATASTORES.c.datastore).limit(limit))
        return [_datastore(row) for row in rows]

    async def update_datastore(self, datastore: Datastore) -> Datastore:
        """See Datastores."""
        changed = DATASTORES.update().where(DATASTORES.c.uid == datastore.uid)
        await self._write(datastore, changed.values(**_changing(datastore), revision=DATASTORES.c.revision + 1))
        return await self.datastore_with(datastore.uid)

    async def set_credentials(self, uid: str, names: Sequence[str], sealed: bytes) -> Datastore:
        """See Datastores."""
        if names:
            given = {"names": sorted(names), "sealed": sealed}
            kept = insert(DATASTORE_CREDENTIALS).values(datastore_uid=uid, **given)
            now = {**given, "update_time": sa.func.now()}
            await self._tx.execute(kept.on_conflict_do_update(index_elements=["datastore_uid"], set_=now))
        else:
            dropped = DATASTORE_CREDENTIALS.delete().where(DATASTORE_CREDENTIALS.c.datastore_uid == uid)
            await self._tx.execute(dropped)
        changed = DATASTORES.update().where(DATASTORES.c.uid == uid)
        await self._tx.execute(changed.values(revision=DATASTORES.c.revision + 1))
        return await self.datastore_with(uid)

    async def sealed_credentials(self, uid: str) -> bytes:
        """See Datastores."""
        query = sa.select(DATASTORE_CREDENTIALS.c.sealed).where(DATASTORE_CREDENTIALS.c.datastore_uid == uid)
        return bytes((await self._tx.execute(query)).scalar_one_or_none() or b"")

    async def _write(self, datastore: Datastore, statement: Any) -> None:
        try:
            async with self._tx.begin_nested():
                await self._tx.execute(statement)
        except sa.exc.IntegrityError as error:
            raise DatastoreAlreadyExists(datastore=datastore.name) from error


def _changing(datastore: Datastore) -> dict[str, Any]:
    return {
        "datastore": datastore.name.datastore,
        "folded": datastore.name.datastore.lower(),
        "display_name": datastore.display_name,
        "state": datastore.state.value,
    }


def _datastore(row: Any) -> Datastore:
    return Datastore(
        uid=row.uid,
        name=DatastoreName(row.project, row.datastore),
        display_name=row.display_name,
        place=place_from(row.place),
        created_by=row.created_by,
        create_time=row.create_time,
        state=DatastoreState(row.state),
        credential_names=tuple(row.names or ()),
        revision=row.revision,
    )
