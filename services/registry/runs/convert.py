"""Runs between proto and domain."""

from collections.abc import Mapping
from typing import Any

from chassis.etags import etag_of
from chassis.update_masks import masked
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ExperimentName, InvalidName, PreprocessingJobName, ProjectName, RunName, TrainingJobName
from headwater.registry.v1 import runs_pb2
from services.registry import convert
from services.registry.metrics.convert import summary_to_proto
from services.registry.run_links.convert import fill
from services.registry.runs.model import BriefRun, Lifecycle, NewRun, Run, RunState
from services.registry.runs.wanted import Wanted

_GIVEN = (
    "display_name",
    "description",
    "parameters",
    "tags",
    "annotations",
    "parent_run",
    "job",
    "experiment",
    "references",
    "start_time",
    "state",
)
_DESCRIBED = ("display_name", "description", "tags", "annotations", "references", "experiment")
_BEGINNINGS = {
    artifact_pb2.Run.STATE_UNSPECIFIED: RunState.RUNNING,
    artifact_pb2.Run.STATE_RUNNING: RunState.RUNNING,
    artifact_pb2.Run.STATE_SCHEDULED: RunState.SCHEDULED,
}
_LIFECYCLES = {
    runs_pb2.RUN_LIFECYCLE_FILTER_UNSPECIFIED: Lifecycle.ACTIVE,
    runs_pb2.RUN_LIFECYCLE_FILTER_ACTIVE: Lifecycle.ACTIVE,
    runs_pb2.RUN_LIFECYCLE_FILTER_ARCHIVED: Lifecycle.ARCHIVED,
    runs_pb2.RUN_LIFECYCLE_FILTER_ALL: None,
}
_RUN, _PROJECT = artifact_pb2.UUID.TYPE_RUN, artifact_pb2.UUID.TYPE_PROJECT
_MAX_REFERENCES = 1000
_MAX_REFERENCE = 1024


def new_run(run: artifact_pb2.Run, parent: ProjectName) -> NewRun:
    """What the request says of the run to be, checked."""
    convert.refuse_other_fields(run, _GIVEN, "run")
    if run.parent_run:
        RunName.parse(run.parent_run, "run.parent_run")
    if run.state not in _BEGINNINGS:
        raise convert.InvalidField("A run begins RUNNING or SCHEDULED.", field="run.state")
    said = _described(run, parent)
    return NewRun(
        display_name=said["display_name"],
        description=said["description"],
        parameters=convert.values_from_proto(run.parameters, "run.parameters"),
        tags=said["tags"],
        annotations=said["annotations"],
        parent_run=run.parent_run,
        job=_job(run.job),
        experiment=run.experiment,
        references=said["references"],
        start_time=convert.time(run.start_time, "run.start_time") if run.HasField("start_time") else None,
        state=_BEGINNINGS[run.state],
    )


def changes(request: runs_pb2.UpdateRunRequest, name: RunName) -> Mapping[str, Any]:
    """The fields that an update is about, with the values that they are to have.

    Raises:
        InvalidUpdateMask, InvalidField
    """
    said = _described(request.run, ProjectName(name.project))
    fields = masked(request.run, request.update_mask.paths, _DESCRIBED)
    return {field: said[field] for field in fields}


def new_tags(request: runs_pb2.SetRunTagsRequest) -> dict[str, str]:
    """The tags to set, checked: none of them is removed in the same call."""
    both = set(request.tags) & set(request.removed_keys)
    if both:
        raise convert.InvalidField("A tag is set or removed, not both.", field="removed_keys", key=min(both))
    return convert.pairs(request.tags, "tags", convert.MAX_TAG)


def wanted(request: runs_pb2.ListRunsRequest, parent: ProjectName) -> Wanted:
    """Which runs are asked for."""
    experiments = [ExperimentName.parse(name, "experiments") for name in request.experiments]
    parent_run = RunName.parse(request.parent_run, "parent_run") if request.parent_run else None
    if any(name.project != parent.project for name in experiments):
        raise convert.InvalidField("The experiments must be those of the parent.", field="experiments")
    lifecycle = _LIFECYCLES[request.lifecycle]
    return Wanted(request.filter, request.order_by, tuple(experiments), parent_run, lifecycle, links=request.show_links)


def to_proto(run: Run) -> artifact_pb2.Run:
    """The run as a message."""
    message = artifact_pb2.Run(
        id=convert.uuid(run.id, artifact_pb2.UUID.TYPE_RUN),
        name=str(run.name),
        description=run.description,
        project=convert.uuid(run.project_id, artifact_pb2.UUID.TYPE_PROJECT),
        annotations=run.annotations,
        display_name=run.display_name,
        state=artifact_pb2.Run.State.ValueType(run.state),
        start_time=convert.timestamp(run.start_time),
        end_time=convert.timestamp(run.end_time),
        parameters=convert.values_to_proto(run.parameters),
        tags=run.tags,
        latest_metrics=run.latest_metrics,
        metric_summaries={key: summary_to_proto(summary) for key, summary in run.metrics.items()},
        latest_objects=convert.values_to_proto(run.latest_objects),
        parent_run=run.parent_run,
        child_runs=run.child_runs,
        created_by=run.created_by,
        failure=run.failure,
        job=run.job,
        experiment=run.experiment,
        references=run.references,
        lifecycle=artifact_pb2.Run.Lifecycle.ValueType(run.lifecycle),
        update_time=convert.timestamp(run.update_time),
        etag=etag_of(run.revision),
    )
    fill(message, run.links)
    return message


def brief_fields(run: BriefRun) -> Mapping[str, Any]:
    """What is told of a run beside others: the fields of its message, to be made in place."""
    return {
        "id": {"value": run.id, "type": _RUN},
        "name": run.name,
        "description": run.description,
        "project": {"value": run.project_id, "type": _PROJECT},
        "display_name": run.display_name,
        "state": run.state,
        "start_time": convert.timestamp(run.start_time),
        "end_time": convert.timestamp(run.end_time),
        "parent_run": run.parent_run,
        "created_by": run.created_by,
        "failure": run.failure,
        "job": run.job,
        "experiment": run.experiment,
        "lifecycle": run.lifecycle,
        "update_time": convert.timestamp(run.update_time),
        "etag": etag_of(run.revision),
    }


def _described(run: artifact_pb2.Run, parent: ProjectName) -> dict[str, Any]:
    return {
        "display_name": convert.text(run.display_name, "run.display_name", convert.MAX_DISPLAY_NAME),
        "description": convert.text(run.description, "run.description", convert.MAX_DESCRIPTION),
        "tags": convert.pairs(run.tags, "run.tags", convert.MAX_TAG),
        "annotations": convert.pairs(run.annotations, "run.annotations"),
        "references": _references(run),
        "experiment": _experiment(run.experiment, parent),
    }


def _experiment(text: str, parent: ProjectName) -> ExperimentName:
    """The experiment of a run; the default one where nothing is said."""
    name = ExperimentName.parse(text or f"{parent}/experiments/default", "run.experiment")
    if name.project != parent.project:
        raise convert.InvalidField("run.experiment must be one of the run's project.", field="run.experiment")
    return name


def _references(run: artifact_pb2.Run) -> tuple[str, ...]:
    if len(run.references) > _MAX_REFERENCES:
        raise convert.InvalidField(
            f"run.references may have at most {_MAX_REFERENCES:,} entries.", field="run.references"
        )
    for name in run.references:
        if not name.startswith("projects/") or len(name) > _MAX_REFERENCE:
            raise convert.InvalidField("run.references are resource names.", field="run.references")
    return tuple(dict.fromkeys(run.references))


def _job(name: str) -> str:
    """The resource name of a training or preprocessing job, or empty."""
    if not name:
        return ""
    for kind in (TrainingJobName, PreprocessingJobName):
        try:
            return str(kind.parse(name, "run.job"))
        except InvalidName:
            continue
    raise InvalidName(
        f"run.job must look like {TrainingJobName.pattern} or {PreprocessingJobName.pattern}.", field="run.job"
    )
