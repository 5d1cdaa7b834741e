"""Showing one run and the history of its metrics."""

import itertools
import json
from typing import Annotated, Any

import cyclopts
from google.protobuf import json_format, struct_pb2

from headwater import runs
from headwater.artifact.v1 import artifact_pb2
from headwater.cli.render import as_json, facts, output, table, when
from headwater.cli.run.app import app
from headwater.client import Connection
from headwater.errors import NotFound
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import runs_pb2

AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]


@app.command
def show(run: str, *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Show one run: what it was given, what it measured, what it read and made.

    Parameters
    ----------
    run
        Its id, or its full name.
    in_json
        Print everything as JSON, in the shape of the proto Run.
    project
        The project.
    """
    with Connection.discover() as connection:
        found = runs.get(connection, runs.named(run, project))
    if in_json:
        as_json(found)
    else:
        show_run(found)


@app.command
def metrics(run: str, key: str, *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Print the history of one metric, by step.

    Parameters
    ----------
    run
        Its id, or its full name.
    key
        The metric: train/loss, for example.
    in_json
        Print the points as JSON, one a line, in the shape of the proto MetricPoint or ObjectPoint.
    project
        The project.
    """
    name = runs.named(run, project)
    with Connection.discover() as connection:
        points = runs.points(connection, name, key)
        first = next(points, None)
        if first is None:
            raise _not_measured(runs.get(connection, name), key)
        for point in itertools.chain([first], points):
            if in_json:
                as_json_line(point)
            else:
                output.print(f"{point.step}\t{point.time.ToJsonString()}\t{_value(point.value)}", markup=False)


def _not_measured(run: artifact_pb2.Run, key: str) -> NotFound:
    there = ", ".join(sorted({*run.metric_summaries, *run.latest_objects})) or "nothing"
    return NotFound(f"The run has measured no {key}; it has measured {there}.")


def show_run(run: artifact_pb2.Run) -> None:
    """Print a run."""
    facts(
        run=run.name,
        called=run.display_name,
        experiment=run.experiment,
        state=artifact_pb2.Run.State.Name(run.state).removeprefix("STATE_").lower(),
        failure=run.failure,
        archived="yes" if run.lifecycle == artifact_pb2.Run.LIFECYCLE_ARCHIVED else "",
        description=run.description,
        started=f"{when(run.start_time)} by {run.created_by}",
        ended=when(run.end_time) if run.HasField("end_time") else "",
        job=run.job,
        parent=run.parent_run,
        children=", ".join(run.child_runs),
        references=", ".join(run.references),
        parameters=", ".join(f"{key}={_value(value)}" for key, value in sorted(run.parameters.items())),
        tags=", ".join(f"{key}={value}" for key, value in sorted(run.tags.items())),
        read=", ".join([*map(_data, run.data_inputs), *(model.model for model in run.model_inputs)]),
        made=", ".join(model.model for model in run.model_outputs),
    )
    rows = [
        (key, f"{one.last:.6g}", one.last_step, f"{one.minimum:.6g}", f"{one.maximum:.6g}", one.point_count)
        for key, one in sorted(run.metric_summaries.items())
    ]
    if rows:
        table(("metric", "last", "step", "least", "greatest", "points"), rows)
    for key, value in sorted(run.latest_objects.items()):
        output.print(f"{key}  {_value(value)}", markup=False)


def _data(data: artifact_pb2.RunDataInput) -> str:
    return f"{data.dataset_version or data.name} {data.digest}".rstrip()


def as_json_line(point: runs_pb2.MetricPoint | runs_pb2.ObjectPoint) -> None:
    """Print a point as one line of JSON."""
    text = json_format.MessageToJson(point, preserving_proto_field_name=True, indent=None)
    output.print(text, markup=False)


def _value(value: struct_pb2.Value | float) -> str:
    """A value in one line: whole numbers without a fraction, keys in order."""
    if isinstance(value, struct_pb2.Value):
        return json.dumps(_plain(json_format.MessageToDict(value)), sort_keys=True, ensure_ascii=False)
    return f"{value:.17g}"


def _plain(value: Any) -> Any:
    match value:
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
    return value
