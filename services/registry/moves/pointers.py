"""The hot path in PostgreSQL: one prepared query follows a stage or an alias, in one round trip and no transaction."""

import functools
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, literal_column
from sqlalchemy.dialects.postgresql import asyncpg

from chassis.db.engine import Database
from headwater.names import ModelName
from services.registry.ids import is_id
from services.registry.models.model import Stage
from services.registry.moves.model import Pointer
from services.registry.moves.store import PointerReader
from services.registry.tables import model_aliases, model_versions, models, projects
from services.registry.versions.model import ModelVersion, View
from services.registry.versions.postgres import select_versions
from services.registry.versions.rows import version_of


class PostgresPointers(PointerReader):
    """See PointerReader. Nothing is cached: what was committed before the query is seen by it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pointed_to(self, name: ModelName, pointer: Pointer, view: View) -> ModelVersion | None:
        """See PointerReader."""
        stage = pointer if isinstance(pointer, Stage) else None
        query = _query(stage, is_id(name.model), view)
        values = {"project": name.project, "model": name.model, "key": name.model.lower(), "alias": pointer}
        row = await self._database.fetch_row(query.text, *(values[each] for each in query.parameters))
        if row is None:
            return None
        # JSON is read by the driver, as SQLAlchemy told it for all its connections; ids are text here.
        told = {key: str(value) if isinstance(value, UUID) else value for key, value in row.items()}
        return version_of(SimpleNamespace(**told), view)


class _Query:
    """A query as the driver takes it."""

    def __init__(self, stage: Stage | None, by_id: bool, view: View) -> None:
        query = select_versions(view).where(projects.c.name == bindparam("project"), _is_model(by_id))
        if stage is None:
            own = model_aliases.alias("own")  # beside the aliases that are told of the version
            of_version = and_(own.c.model_id == model_versions.c.model_id, own.c.version == model_versions.c.version)
            query = query.join(own, of_version).where(own.c.alias == bindparam("alias"))
        else:  # as a literal: the index of who holds a stage is for these two only
            query = query.where(model_versions.c.stage == literal_column(str(int(stage))))
        compiled = query.compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
        self.text = str(compiled)
        self.parameters: list[str] = compiled.positiontup or []


_query = functools.cache(_Query)


def _is_model(by_id: bool) -> ColumnElement[bool]:
    if by_id:
        return models.c.id == bindparam("model")
    return and_(models.c.name_key == bindparam("key"), models.c.name == bindparam("model"))
