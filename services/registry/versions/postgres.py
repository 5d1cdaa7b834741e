"""Versions of models in PostgreSQL: one row each, one per file, one per metric."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ModelName, ModelVersionName
from services.registry.formats import Format, Tensor
from services.registry.models.model import Model, Stage
from services.registry.tables import (
    model_files,
    model_version_metrics,
    model_versions,
    models,
    projects,
    stage_transitions,
)
from services.registry.versions.errors import ModelVersionNotFound
from services.registry.versions.model import ModelFile, ModelVersion, Transition
from services.registry.versions.store import VersionStore


class PostgresVersions(VersionStore):
    """See VersionStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, version: ModelVersion) -> None:
        """See VersionStore."""
        await self._connection.execute(insert(model_versions).values(_version_row(version)))
        await self._connection.execute(insert(model_files), [_file_row(version, file) for file in version.files])
        if version.metrics:
            metrics = [{"version_id": version.id, "key": key, "value": value} for key, value in version.metrics.items()]
            await self._connection.execute(insert(model_version_metrics), metrics)

    async def get(self, name: ModelName, number: int) -> ModelVersion:
        """See VersionStore."""
        query = _versions().where(
            projects.c.name == name.project, models.c.name == name.model, model_versions.c.version == number
        )
        found = await self._load(query, tensors=True)
        if not found:
            raise ModelVersionNotFound(model=name, version=number)
        return found[0]

    async def find(self, names: Sequence[ModelVersionName]) -> Sequence[ModelVersion]:
        """See VersionStore."""
        wanted = [(name.project, name.model, int(name.version)) for name in names if name.version.isdigit()]
        if not wanted:
            return []
        key = tuple_(projects.c.name, models.c.name, model_versions.c.version)
        return await self._load(_versions().where(key.in_(wanted)), tensors=False)

    async def page(self, model: Model, *, before: int | None, limit: int) -> Sequence[ModelVersion]:
        """See VersionStore."""
        query = _versions().where(model_versions.c.model_id == model.id)
        if before is not None:
            query = query.where(model_versions.c.version < before)
        return await self._load(query.order_by(model_versions.c.version.desc()).limit(limit), tensors=True)

    async def move(self, version: ModelVersion) -> None:
        """See VersionStore."""
        await self._connection.execute(
            model_versions.update()
            .where(model_versions.c.id == version.id)
            .values(stage=version.stage, revision=version.revision)
        )

    async def add_transition(self, model: Model, transition: Transition) -> None:
        """See VersionStore."""
        row = {
            "model_id": model.id,
            "version": transition.version,
            "from_stage": transition.from_stage,
            "to_stage": transition.to_stage,
            "actor": transition.actor,
            "time": transition.time,
            "comment": transition.comment,
        }
        await self._connection.execute(insert(stage_transitions).values(row))

    async def transitions(self, model: Model, *, before: int | None, limit: int) -> Sequence[Transition]:
        """See VersionStore."""
        move = stage_transitions.c
        query = select(stage_transitions).where(move.model_id == model.id)
        if before is not None:
            query = query.where(move.sequence < before)
        rows = await self._connection.execute(query.order_by(move.sequence.desc()).limit(limit))
        return [
            Transition(
                row.version,
                Stage(row.from_stage),
                Stage(row.to_stage),
                row.actor,
                row.time,
                row.comment,
                sequence=row.sequence,
            )
            for row in rows
        ]

    async def _load(self, query: Select[Any], *, tensors: bool) -> Sequence[ModelVersion]:
        rows = (await self._connection.execute(query)).all()
        ids = [row.id for row in rows]
        files: dict[str, list[ModelFile]] = {}
        columns = [column for column in model_files.c if tensors or column.name != "tensors"]
        for file in await self._connection.execute(
            select(*columns).where(model_files.c.version_id.in_(ids)).order_by(model_files.c.path)
        ):
            files.setdefault(file.version_id, []).append(_file(file, tensors=tensors))
        metrics: dict[str, dict[str, float]] = {}
        metric = model_version_metrics.c
        for version_id, key, value in await self._connection.execute(
            select(metric.version_id, metric.key, metric.value).where(metric.version_id.in_(ids)).order_by(metric.key)
        ):
            metrics.setdefault(version_id, {})[key] = value
        return [_version(row, files[row.id], metrics.get(row.id, {})) for row in rows]


def _versions() -> Select[Any]:
    names = models.c.name.label("model"), models.c.project_id, projects.c.name.label("project")
    return select(model_versions, *names).join(models, models.c.id == model_versions.c.model_id).join(projects)


def _version_row(version: ModelVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "model_id": version.model_id,
        "version": version.version,
        "stage": version.stage,
        "revision": version.revision,
        "description": version.description,
        "architecture": version.architecture,
        "framework_name": version.framework_name,
        "framework_version": version.framework_version,
        "digest": version.digest,
        "primary_digest": version.primary_digest,
        "run_id": version.run_id or None,
        "run_name": version.run,
        "inputs": _tensors_to_json(version.inputs),
        "outputs": _tensors_to_json(version.outputs),
        "parameter_count": version.parameter_count,
        "hyperparameters": dict(version.hyperparameters),
        "dataset_versions": list(version.dataset_versions),
        "pipeline_versions": list(version.pipeline_versions),
        "create_time": version.create_time,
        "created_by": version.created_by,
    }


def _file_row(version: ModelVersion, file: ModelFile) -> dict[str, Any]:
    return {
        "version_id": version.id,
        "path": file.path,
        "digest": file.digest,
        "size_bytes": file.size_bytes,
        "format": file.format,
        "tensors": _tensors_to_json(file.tensors),
        "properties": dict(file.properties),
    }


def _tensors_to_json(tensors: Sequence[Tensor]) -> list[list[Any]]:
    return [[tensor.name, tensor.datatype, list(tensor.shape)] for tensor in tensors]


def _tensors(rows: list[list[Any]]) -> list[Tensor]:
    return [Tensor(name, datatype, tuple(shape)) for name, datatype, shape in rows]


def _file(row: Row[Any], *, tensors: bool) -> ModelFile:
    told = _tensors(row.tensors) if tensors else []
    return ModelFile(row.path, row.digest, row.size_bytes, Format(row.format), told, row.properties)


def _version(row: Row[Any], files: Sequence[ModelFile], metrics: dict[str, float]) -> ModelVersion:
    return ModelVersion(
        id=row.id,
        project=row.project,
        project_id=row.project_id,
        model_id=row.model_id,
        model=row.model,
        version=row.version,
        description=row.description,
        architecture=row.architecture,
        framework_name=row.framework_name,
        framework_version=row.framework_version,
        digest=row.digest,
        primary_digest=row.primary_digest,
        files=files,
        inputs=_tensors(row.inputs),
        outputs=_tensors(row.outputs),
        parameter_count=row.parameter_count,
        run_id=row.run_id or "",
        run=row.run_name,
        hyperparameters=row.hyperparameters,
        metrics=metrics,
        dataset_versions=row.dataset_versions,
        pipeline_versions=row.pipeline_versions,
        create_time=row.create_time,
        created_by=row.created_by,
        stage=Stage(row.stage),
        revision=row.revision,
    )
