"""Artifacts in PostgreSQL."""

from collections.abc import Sequence

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ArtifactName
from services.registry.artifacts.model import Artifact, digest_in
from services.registry.artifacts.store import ArtifactStore
from services.registry.tables import artifacts, projects


class PostgresArtifacts(ArtifactStore):
    """See ArtifactStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, artifact: Artifact) -> bool:
        """See ArtifactStore."""
        row = {
            "project_id": artifact.project_id,
            "digest": artifact.digest,
            "id": artifact.id,
            "size_bytes": artifact.size_bytes,
            "filename": artifact.filename,
            "create_time": artifact.create_time,
            "created_by": artifact.created_by,
        }
        added = await self._connection.execute(insert(artifacts).values(row).on_conflict_do_nothing())
        return added.rowcount == 1

    async def find(self, names: Sequence[ArtifactName]) -> Sequence[Artifact]:
        """See ArtifactStore."""
        if not names:
            return []
        wanted = [(name.project, digest_in(name)) for name in names]
        rows = await self._connection.execute(
            select(artifacts, projects.c.name.label("project"))
            .join(projects)
            .where(tuple_(projects.c.name, artifacts.c.digest).in_(wanted))
        )
        return [
            Artifact(
                id=row.id,
                project=row.project,
                project_id=row.project_id,
                digest=row.digest,
                size_bytes=row.size_bytes,
                filename=row.filename,
                create_time=row.create_time,
                created_by=row.created_by,
            )
            for row in rows
        ]
