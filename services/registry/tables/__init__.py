"""The tables, as the newest migration leaves them (a test compares the two)."""

from services.registry.tables.artifacts import artifact_upload_parts, artifact_uploads, artifacts, run_artifacts
from services.registry.tables.columns import metadata
from services.registry.tables.events import events
from services.registry.tables.experiments import experiments
from services.registry.tables.lineage import lineage_arcs, lineage_links, lineage_names, lineage_nodes
from services.registry.tables.logged_models import (
    logged_model_metrics,
    logged_models,
    run_data_inputs,
    run_models,
)
from services.registry.tables.metrics import latest_metrics, metric_chunks, metric_objects, metric_singles
from services.registry.tables.models import model_alias_changes, model_aliases, models, objectives
from services.registry.tables.projects import projects
from services.registry.tables.runs import run_parameters, run_tags, runs
from services.registry.tables.versions import model_files, model_version_metrics, model_versions, stage_transitions

__all__ = [
    "artifact_upload_parts",
    "artifact_uploads",
    "artifacts",
    "events",
    "experiments",
    "latest_metrics",
    "lineage_arcs",
    "lineage_links",
    "lineage_names",
    "lineage_nodes",
    "logged_model_metrics",
    "logged_models",
    "metadata",
    "metric_chunks",
    "metric_objects",
    "metric_singles",
    "model_alias_changes",
    "model_aliases",
    "model_files",
    "model_version_metrics",
    "model_versions",
    "models",
    "objectives",
    "projects",
    "run_artifacts",
    "run_data_inputs",
    "run_models",
    "run_parameters",
    "run_tags",
    "runs",
    "stage_transitions",
]
