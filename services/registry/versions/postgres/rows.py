"""Versions as rows of PostgreSQL, and rows as versions."""

import dataclasses
from typing import Any

from headwater.semver import SemVer
from services.registry.formats import FileFacts, Format
from services.registry.models.model import Stage
from services.registry.states import State
from services.registry.versions import contents
from services.registry.versions.model import ModelFile, ModelVersion, View
from services.registry.versions.preprocessing import Preprocessing

_AS_THEY_ARE = (
    "id",
    "model_id",
    "version",
    "architecture",
    "framework_name",
    "framework_version",
    "digest",
    "primary_digest",
    "parameter_count",
    "weight",
    "pipeline_versions",
    "dataset_versions",
    "create_time",
    "created_by",
    "hyperparameters",
    "user_metadata",
    "task",
    "source",
    "logged_model",
    "dangling_links",
    "problems",
    "breaking_changes",
)
"""Columns that are fields of the same name and never change."""
_CHANGING = ("description", "annotations", "tags", "replacement", "update_time", "revision")


def version_row(version: ModelVersion) -> dict[str, Any]:
    """The row of a version that is new."""
    return {
        **{name: getattr(version, name) for name in _AS_THEY_ARE},
        **changing_row(version),
        "semantic_version": str(version.semantic_version or ""),
        "format": version.format,
        "run_id": version.run_id or None,
        "run_name": version.run,
        "preprocessing": dataclasses.asdict(version.preprocessing) if version.preprocessing else None,
        "inputs": contents.tensors_to_json(version.inputs),
        "outputs": contents.tensors_to_json(version.outputs),
    }


def changing_row(version: ModelVersion) -> dict[str, Any]:
    """The part of its row that may change."""
    changing = {name: getattr(version, name) for name in _CHANGING}
    return {**changing, "stage": version.stage, "state": version.state}


def file_row(file: ModelFile) -> dict[str, Any]:
    """The row of one of its files, but for which version it is of."""
    facts = contents.to_json(file.facts)
    return {
        "path": file.path,
        "digest": file.digest,
        "size_bytes": file.size_bytes,
        "format": facts.pop("format", 0),
        "tensors": facts.pop("tensors", []),
        "properties": facts.pop("properties", {}),
        "facts": facts,
    }


def version_of(row: Any, view: View) -> ModelVersion:
    """The version that a row of ``postgres.PostgresVersions`` is."""
    return ModelVersion(
        **{name: getattr(row, name) for name in (*_AS_THEY_ARE, *_CHANGING)},
        project=row.project,
        project_id=row.project_id,
        model=row.model,
        semantic_version=SemVer.match(row.semantic_version),
        format=Format(row.format),
        run_id=row.run_id or "",
        run=row.run_name,
        preprocessing=Preprocessing(**row.preprocessing) if row.preprocessing else None,
        inputs=contents.tensors_from_json(row.inputs),
        outputs=contents.tensors_from_json(row.outputs),
        files=[_file(file, view) for file in row.files],
        metrics=dict(zip(row.metric_keys or (), row.metric_values or (), strict=True)),
        aliases=row.aliases or [],
        stage=Stage(row.stage),
        state=State(row.state),
        model_state=State(row.model_state),
        model_replacement=row.model_replacement,
        model_archived_name=row.model_archived_name,
    )


def _file(values: list[Any], view: View) -> ModelFile:
    path, digest, size_bytes, format_, *held = values
    if view is View.BASIC:
        return ModelFile(path, digest, size_bytes, FileFacts(format=Format(format_)))
    tensors, properties, facts = held
    said = {**facts, "format": format_, "tensors": tensors, "properties": properties}
    return ModelFile(path, digest, size_bytes, contents.from_json(said))
