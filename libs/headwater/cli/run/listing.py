"""Listing and searching runs."""

from typing import Annotated

import cyclopts

from headwater import references, runs
from headwater.artifact.v1 import artifact_pb2
from headwater.cli.model.words import Several
from headwater.cli.render import as_json, table, when
from headwater.cli.run.app import app
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import runs_pb2


@app.command(name=("list", "search"))
def list_(
    where: str = "",
    *,
    order_by: str = "",
    experiment: Several = (),
    parent: str = "",
    archived: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    metric: Several = (),
    limit: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0))] = 50,
    in_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """List runs, newest first, or those that a filter finds in the order asked for.

    Parameters
    ----------
    where
        Which ones: metrics.loss < 0.1 AND params.optimizer = "adam", for example (docs/reference/search.md).
    order_by
        In which order: "metrics.loss asc, start_time desc", for example.
    experiment
        Only those of this experiment; may be given several times.
    parent
        Only the children of this run.
    archived
        Those archived, in place of those in use.
    metric
        Metrics to show beside each run, by their last value; may be given several times.
    limit
        At most so many; 0 for all.
    in_json
        Print everything as JSON, in the shape of the proto ListRunsResponse.
    project
        The project.
    """
    with Connection.discover() as connection:
        wanted = runs.search(
            connection,
            references.project(project),
            where=where,
            order_by=order_by,
            within=experiment,
            parent=runs.named(parent, project) if parent else None,
            archived=archived,
        )
        found = [run for _, run in zip(range(limit), wanted, strict=False)] if limit else list(wanted)
    if in_json:
        as_json(runs_pb2.ListRunsResponse(runs=found))
        return
    columns = ("run", "called", "experiment", "state", "started", *metric)
    table(columns, [_row(run, metric) for run in found])


def _row(run: artifact_pb2.Run, metrics: Several) -> tuple[str, ...]:
    return (
        run.name.rpartition("/")[2],
        run.display_name,
        run.experiment.rpartition("/")[2],
        artifact_pb2.Run.State.Name(run.state).removeprefix("STATE_").lower(),
        when(run.start_time),
        *(f"{run.latest_metrics[key]:.6g}" if key in run.latest_metrics else "" for key in metrics),
    )
