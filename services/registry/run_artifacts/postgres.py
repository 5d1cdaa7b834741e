"""What runs made, in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ArtifactName, DatastoreName, RunArtifactName, RunName
from services.registry.ids import is_id
from services.registry.run_artifacts.errors import RunArtifactNotFound
from services.registry.run_artifacts.model import Kind, Place, RunArtifact
from services.registry.run_artifacts.store import RunArtifactStore
from services.registry.runs.model import Run
from services.registry.tables import projects, run_artifacts, runs

_made = run_artifacts.c


class PostgresRunArtifacts(RunArtifactStore):
    """See RunArtifactStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, made: RunArtifact) -> bool:
        """See RunArtifactStore."""
        is_place = isinstance(made.place, Place)
        row = {
            "id": made.id,
            "run_id": made.run_id,
            "path": made.path,
            "kind": made.kind,
            "digest": "" if isinstance(made.place, Place) else f"sha256:{made.place.artifact}",
            "datastore": str(made.place.datastore) if isinstance(made.place, Place) else "",
            "datastore_path": made.place.path if isinstance(made.place, Place) else "",
            "media_type": made.media_type,
            "size_bytes": 0 if is_place else made.size_bytes,
            "create_time": made.create_time,
            "created_by": made.created_by,
        }
        added = await self._connection.execute(
            insert(run_artifacts).values(row).on_conflict_do_nothing(index_elements=["run_id", "path"])
        )
        return added.rowcount == 1

    async def get(self, name: RunArtifactName) -> RunArtifact:
        """See RunArtifactStore."""
        if is_id(name.run) and is_id(name.artifact):
            wanted = _made.id == name.artifact, _made.run_id == name.run, projects.c.name == name.project
            for found in await self._load(_all().where(*wanted)):
                return found
        raise RunArtifactNotFound(run_artifact=name)

    async def at(self, run: Run, path: str) -> RunArtifact:
        """See RunArtifactStore."""
        for found in await self._load(_all().where(_made.run_id == run.id, _made.path == path)):
            return found
        raise RunArtifactNotFound(run=run.name, path=path)

    async def below(self, run: Run, folder: str, *, after: str, limit: int) -> Sequence[RunArtifact]:
        """See RunArtifactStore."""
        return await self._load(_in(run, folder).where(_made.path > after).order_by(_made.path).limit(limit))

    async def beside(self, run: Run, folder: str, *, after: str, limit: int) -> Sequence[RunArtifact]:
        """See RunArtifactStore."""
        query = _in(run, folder).where(_made.path > after, func.strpos(_inside(folder), "/") == 0)
        return await self._load(query.order_by(_made.path).limit(limit))

    async def folders(self, run: Run, folder: str, limit: int) -> Sequence[str]:
        """See RunArtifactStore."""
        name = func.split_part(_inside(folder), "/", 1).label("name")
        found = await self._connection.execute(
            select(name)
            .distinct()
            .where(_made.run_id == run.id, _is_below(folder), func.strpos(_inside(folder), "/") > 0)
            .order_by(name)
            .limit(limit)
        )
        return list(found.scalars())

    async def meets(self, run: Run, path: str) -> bool:
        """See RunArtifactStore."""
        holds = func.starts_with(literal(path), func.concat(_made.path, "/"))
        query = select(_made.id).where(_made.run_id == run.id, or_(holds, func.starts_with(_made.path, f"{path}/")))
        return (await self._connection.execute(query.limit(1))).first() is not None

    async def _load(self, query: Select[Any]) -> list[RunArtifact]:
        return [_run_artifact(row) for row in await self._connection.execute(query)]


def _all() -> Select[Any]:
    query = select(run_artifacts, projects.c.name.label("project"))
    return query.join(runs, runs.c.id == _made.run_id).join(projects, projects.c.id == runs.c.project_id)


def _in(run: Run, folder: str) -> Select[Any]:
    return _all().where(_made.run_id == run.id, or_(_made.path == folder, _is_below(folder)))


def _is_below(folder: str) -> ColumnElement[bool]:
    return func.starts_with(_made.path, f"{folder}/" if folder else "")


def _inside(folder: str) -> ColumnElement[str]:
    """The path within the folder."""
    return func.substr(_made.path, len(folder) + 2 if folder else 1)


def _run_artifact(row: Row[Any]) -> RunArtifact:
    digest: str = row.digest
    return RunArtifact(
        id=row.id,
        run_id=row.run_id,
        run=RunName(row.project, row.run_id),
        path=row.path,
        kind=Kind(row.kind),
        place=ArtifactName(row.project, digest.removeprefix("sha256:"))
        if digest
        else Place(DatastoreName.parse(row.datastore), row.datastore_path),
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        create_time=row.create_time,
        created_by=row.created_by,
    )
