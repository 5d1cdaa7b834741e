"""Pipelines in PostgreSQL."""

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import Row, and_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from chassis.paging import Key
from headwater.names import PipelineName, PipelineVersionName, ProjectName
from headwater.transforms.model import Definition, Step
from services.preprocessing.pipelines.model import Pipeline, PipelineVersion
from services.preprocessing.pipelines.store import PipelineStore
from services.preprocessing.tables import pipeline_versions, pipelines


class PostgresPipelineStore(PipelineStore):
    """See PipelineStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """See PipelineStore."""
        return self._database.transaction()

    async def add_version(self, tx: AsyncConnection, version: PipelineVersion) -> bool:
        """See PipelineStore."""
        place = {"project": version.name.project, "pipeline": version.name.pipeline}
        row = {
            **place,
            "version": version.name.version,
            "definition": dataclasses.asdict(version.definition),
            "created_at": version.created_at,
            "created_by": version.created_by,
        }
        added = insert(pipeline_versions).values(row).on_conflict_do_nothing().returning(pipeline_versions.c.sequence)
        if (await tx.execute(added)).first() is None:
            return False
        newest = {"latest_version": version.name.version}
        pipeline = insert(pipelines).values({**place, **newest, "created_at": version.created_at})
        await tx.execute(pipeline.on_conflict_do_update(index_elements=["project", "pipeline"], set_=newest))
        return True

    async def get_version(self, tx: AsyncConnection, name: PipelineVersionName) -> PipelineVersion | None:
        """See PipelineStore."""
        named = and_(
            pipeline_versions.c.project == name.project,
            pipeline_versions.c.pipeline == name.pipeline,
            pipeline_versions.c.version == name.version,
        )
        row = (await tx.execute(select(pipeline_versions).where(named))).first()
        return None if row is None else _version(row)

    async def list_pipelines(
        self, tx: AsyncConnection, project: ProjectName, after: Key | None, limit: int
    ) -> Sequence[Pipeline]:
        """See PipelineStore."""
        query = select(pipelines).where(pipelines.c.project == project.project)
        if after is not None:
            query = query.where(pipelines.c.pipeline > after[0])
        rows = await tx.execute(query.order_by(pipelines.c.pipeline).limit(limit))
        return [Pipeline(PipelineName(row.project, row.pipeline), row.latest_version, row.created_at) for row in rows]

    async def list_versions(
        self, tx: AsyncConnection, pipeline: PipelineName, after: Key | None, limit: int
    ) -> Sequence[tuple[int, PipelineVersion]]:
        """See PipelineStore."""
        query = select(pipeline_versions).where(
            pipeline_versions.c.project == pipeline.project, pipeline_versions.c.pipeline == pipeline.pipeline
        )
        if after is not None:
            query = query.where(pipeline_versions.c.sequence < after[0])
        rows = await tx.execute(query.order_by(pipeline_versions.c.sequence.desc()).limit(limit))
        return [(row.sequence, _version(row)) for row in rows]


def _version(row: Row[Any]) -> PipelineVersion:
    stored = row.definition
    definition = Definition(**{**stored, "steps": tuple(Step(**step) for step in stored["steps"])})
    name = PipelineVersionName(row.project, row.pipeline, row.version)
    return PipelineVersion(name, definition, row.created_at, row.created_by)
