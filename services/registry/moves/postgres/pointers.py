"""The hot path in PostgreSQL: one prepared query follows a stage or an alias, in one round trip and no transaction."""

import functools
from types import SimpleNamespace

from sqlalchemy import ScalarSelect, and_, bindparam, literal_column, select
from sqlalchemy.dialects.postgresql import asyncpg

from chassis.db.engine import Database
from headwater.names import ModelName
from services.registry.ids import is_id
from services.registry.models.model import Stage
from services.registry.moves.model import Pointer
from services.registry.moves.store import PointerReader
from services.registry.tables import model_aliases, model_versions, models, projects
from services.registry.versions.model import ModelVersion, View
from services.registry.versions.postgres import select_versions, version_of


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
        return version_of(SimpleNamespace(**row), view)


class _Query:
    """A query as the driver takes it."""

    def __init__(self, stage: Stage | None, by_id: bool, view: View) -> None:
        query = select_versions(view).where(model_versions.c.model_id == _model_id(by_id))
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


def _model_id(by_id: bool) -> ScalarSelect[str]:
    """Looked up first, by itself: then the rest can only go by the indexes that begin with it, however many there are.

    The tables have names of their own here, so that this is no part of the query around it.
    """
    of, project = models.alias("of"), projects.alias("in")
    in_project = select(project.c.id).where(project.c.name == bindparam("project")).scalar_subquery()
    query = select(of.c.id).where(of.c.project_id == in_project)
    if by_id:
        return query.where(of.c.id == bindparam("model")).scalar_subquery()
    return query.where(of.c.name_key == bindparam("key"), of.c.name == bindparam("model")).scalar_subquery()
