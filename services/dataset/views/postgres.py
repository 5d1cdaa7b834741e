"""Views in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from headwater.names import DatasetName, DatasetVersionName, ViewName
from services.dataset.history.postgres.versions import PostgresVersions
from services.dataset.model import SemVer
from services.dataset.views.errors import ViewAlreadyExists, ViewNotFound
from services.dataset.views.model import View, view_name
from services.dataset.views.tables import VIEWS


class PostgresViews(PostgresVersions):
    """See ``services.dataset.views.store.Views``."""

    async def create_view(self, view: View) -> View:
        """See Views."""
        values = {
            "version_uid": await self._version_uid(view.version),
            "view": view.name.view,
            "folded": view.name.view.lower(),
            "filter": view.filter,
            "description": view.description,
            "created_by": view.created_by,
        }
        try:
            async with self._tx.begin_nested():
                row = (await self._tx.execute(VIEWS.insert().values(values).returning(VIEWS))).one()
        except sa.exc.IntegrityError as error:
            raise ViewAlreadyExists(view=view.name) from error
        return _view(view.version, row)

    async def get_view(self, name: ViewName) -> View:
        """See Views."""
        version = DatasetVersionName(name.project, name.dataset, name.version)
        query = sa.select(VIEWS).where(_is(name, await self._version_uid(version)))
        row = (await self._tx.execute(query)).first()
        if row is None:
            raise ViewNotFound(view=name)
        return _view(version, row)

    async def list_views(self, version: DatasetVersionName, after: str, limit: int) -> Sequence[View]:
        """See Views."""
        query = sa.select(VIEWS).where(VIEWS.c.version_uid == await self._version_uid(version), VIEWS.c.view > after)
        return [_view(version, row) for row in await self._tx.execute(query.order_by(VIEWS.c.view).limit(limit))]

    async def delete_view(self, name: ViewName) -> None:
        """See Views."""
        version = DatasetVersionName(name.project, name.dataset, name.version)
        deleted = await self._tx.execute(VIEWS.delete().where(_is(name, await self._version_uid(version))))
        if deleted.rowcount == 0:
            raise ViewNotFound(view=name)

    async def _version_uid(self, name: DatasetVersionName) -> str:
        return (await self.get_version(DatasetName(name.project, name.dataset), SemVer.parse(name.version))).uid


def _is(name: ViewName, version_uid: str) -> sa.ColumnElement[bool]:
    return sa.and_(VIEWS.c.version_uid == version_uid, VIEWS.c.view == name.view)


def _view(version: DatasetVersionName, row: Any) -> View:
    return View(view_name(version, row.view), row.filter, row.description, row.created_by, row.create_time)
