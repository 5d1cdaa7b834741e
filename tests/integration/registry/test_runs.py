"""Experiments and runs over gRPC: what the edge takes, what it refuses, and that every change is told once."""

import time
from collections.abc import Awaitable

import asyncpg
import grpc.aio
import pytest
from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from chassis import Service
from chassis.auth import Role
from chassis.testing import Connect
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from headwater.registry.v1 import experiments_pb2, experiments_pb2_grpc, projects_pb2, runs_pb2
from tests.integration.registry.client import DEFAULT, Client

DIGITS = f"{DEFAULT}/experiments/digits"
_ITS_OWN = "jsonb_each_text(parameters) AS found (key, said)"
_Run = artifact_pb2.Run


@pytest.fixture
def experiments(registry: Service, connect: Connect) -> "experiments_pb2_grpc.ExperimentServiceAsyncStub":
    """An administrator's stub."""
    channel: grpc.aio.Channel = connect(registry.address, Role.ADMIN)
    return experiments_pb2_grpc.ExperimentServiceStub(channel)


def _list(text: str) -> struct_pb2.Value:
    return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[struct_pb2.Value(string_value=text)]))


async def test_an_experiment_and_its_runs_from_beginning_to_end(
    client: Client, experiments: "experiments_pb2_grpc.ExperimentServiceAsyncStub", postgres_url: str
) -> None:
    """M-29 to M-33, R-28, R-30."""
    made = await experiments.CreateExperiment(
        experiments_pb2.CreateExperimentRequest(parent=DEFAULT, experiment_id="digits")
    )
    update = experiments_pb2.UpdateExperimentRequest(
        experiment=experiments_pb2.Experiment(name=DIGITS, display_name="Digits", etag=made.etag)
    )
    assert (await experiments.UpdateExperiment(update)).display_name == "Digits"
    with pytest.raises(Aborted):
        await experiments.UpdateExperiment(update)
    with pytest.raises(AlreadyExists):
        await experiments.CreateExperiment(
            experiments_pb2.CreateExperimentRequest(parent=DEFAULT, experiment_id="Digits")
        )

    started = timestamp_pb2.Timestamp(seconds=1_600_000_000)
    run = await client.runs.CreateRun(
        runs_pb2.CreateRunRequest(
            parent=DEFAULT,
            run=_Run(experiment=DIGITS, state=_Run.STATE_SCHEDULED, start_time=started, references=[f"{DEFAULT}/x"]),
        )
    )
    assert (run.experiment, run.state, run.start_time) == (DIGITS, _Run.STATE_SCHEDULED, started)
    log = runs_pb2.LogMetricsRequest(
        name=run.name,
        points=[runs_pb2.MetricPoint(key="loss", value=0.5, step=step, time=started) for step in range(3)],
        objects=[runs_pb2.ObjectPoint(key="labels", value=_list("cat"), time=started)],
        parameters={"lr": struct_pb2.Value(string_value="0.01" + "0" * 5996)},
        tags={"note": "x" * 8000},
    )
    assert (await client.runs.LogMetrics(log)).recorded_count == 4
    assert (await client.runs.LogMetrics(log)).recorded_count == 0
    described = await client.runs.UpdateRun(
        runs_pb2.UpdateRunRequest(run=_Run(name=run.name, description="Good."), update_mask=FieldMask(paths=["*"]))
    )
    assert (described.description, dict(described.tags), list(described.references)) == ("Good.", {}, [])
    assert described.experiment == f"{DEFAULT}/experiments/default"
    tags = runs_pb2.SetRunTagsRequest(name=run.name, tags={"team": "vision"}, removed_keys=["gone"])
    assert dict((await client.runs.SetRunTags(tags)).tags) == {"team": "vision"}

    found = await client.runs.ListRuns(
        runs_pb2.ListRunsRequest(
            parent=DEFAULT, filter="metrics.loss < 1 AND tags.team = 'vision'", order_by="metrics.loss, start_time desc"
        )
    )
    [listed] = found.runs
    assert listed.metric_summaries["loss"].point_count == 3
    whole = await client.runs.GetRun(runs_pb2.GetRunRequest(name=run.name))
    assert whole.latest_objects["labels"].list_value.values[0].string_value == "cat"
    sample = runs_pb2.SampleMetricPointsRequest(
        parent=DEFAULT, runs=[run.name], keys=["loss", "none"], max_points=2, first_step=1
    )
    [series] = (await client.runs.SampleMetricPoints(sample)).series
    assert [point.step for point in series.points] == [1, 2]
    objects = runs_pb2.ListMetricPointsRequest(name=run.name, key="labels")
    assert len((await client.runs.ListMetricPoints(objects)).objects) == 1

    ended = timestamp_pb2.Timestamp(seconds=1_600_000_060)
    finish = runs_pb2.FinishRunRequest(name=run.name, state=_Run.STATE_FAILED, end_time=ended)
    assert (await client.runs.FinishRun(finish)).end_time == ended
    await client.runs.ResumeRun(runs_pb2.ResumeRunRequest(name=run.name))
    for _ in range(2):
        await client.runs.ArchiveRun(runs_pb2.ArchiveRunRequest(name=run.name))
    with pytest.raises(FailedPrecondition):
        await client.runs.LogMetrics(log)
    archived = runs_pb2.ListRunsRequest(parent=DEFAULT, lifecycle=runs_pb2.RUN_LIFECYCLE_FILTER_ARCHIVED)
    assert [one.name for one in (await client.runs.ListRuns(archived)).runs] == [run.name]
    await client.runs.ReactivateRun(runs_pb2.ReactivateRunRequest(name=run.name))
    await experiments.DeprecateExperiment(experiments_pb2.DeprecateExperimentRequest(name=DIGITS))
    await experiments.ArchiveExperiment(experiments_pb2.ArchiveExperimentRequest(name=DIGITS))
    with pytest.raises(NotFound):
        await experiments.GetExperiment(experiments_pb2.GetExperimentRequest(name=DIGITS))
    by_uid = f"{DEFAULT}/experiments/{made.uid}"
    await experiments.ReactivateExperiment(experiments_pb2.ReactivateExperimentRequest(name=by_uid))
    await experiments.RenameExperiment(experiments_pb2.RenameExperimentRequest(name=DIGITS, experiment_id="numbers"))

    connection = await asyncpg.connect(postgres_url)
    kinds = [row["kind"] for row in await connection.fetch("SELECT kind FROM registry.events ORDER BY sequence")]
    await connection.close()
    assert kinds == [
        "experiment.create",
        "experiment.update",
        "run.create",
        "run.log",
        "run.update",
        "run.tag",
        "run.finish",
        "run.resume",
        "run.archive",
        "run.reactivate",
        "experiment.deprecate",
        "experiment.archive",
        "experiment.reactivate",
        "experiment.rename",
    ]


async def test_a_project_is_described(client: Client) -> None:
    said = artifact_pb2.Project(name=DEFAULT, display_name="Base", annotations={"cost": "12"})
    changed = await client.projects.UpdateProject(projects_pb2.UpdateProjectRequest(project=said))
    assert (changed.display_name, dict(changed.annotations)) == ("Base", {"cost": "12"})
    cleared = projects_pb2.UpdateProjectRequest(
        project=artifact_pb2.Project(name=DEFAULT), update_mask=FieldMask(paths=["annotations"])
    )
    changed = await client.projects.UpdateProject(cleared)
    assert (changed.display_name, dict(changed.annotations)) == ("Base", {})
    assert await client.projects.GetProject(projects_pb2.GetProjectRequest(name=DEFAULT)) == changed
    wrong = projects_pb2.UpdateProjectRequest(project=said, update_mask=FieldMask(paths=["name"]))
    with pytest.raises(InvalidArgument):
        await client.projects.UpdateProject(wrong)


@pytest.mark.parametrize("more", [0, 1])
async def test_the_longest_names_and_descriptions_are_taken_and_no_longer_ones(
    client: Client, experiments: "experiments_pb2_grpc.ExperimentServiceAsyncStub", more: int
) -> None:
    """M-02, M-07: in characters, whatever their bytes."""
    called, said = "é" * (255 + more), "é" * (32_768 + more)
    make, experiment = experiments_pb2.CreateExperimentRequest, experiments_pb2.Experiment
    calls: list[Awaitable[object]] = [
        *(
            client.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT, run=run))
            for run in (_Run(display_name=called), _Run(description=said))
        ),
        experiments.CreateExperiment(make(parent=DEFAULT, experiment_id="x" * (255 + more))),
        experiments.CreateExperiment(
            make(parent=DEFAULT, experiment_id="called", experiment=experiment(display_name=called))
        ),
        experiments.UpdateExperiment(
            experiments_pb2.UpdateExperimentRequest(
                experiment=experiment(name=f"{DEFAULT}/experiments/default", description=said)
            )
        ),
    ]
    for call in calls:
        if not more:
            await call
            continue
        with pytest.raises(InvalidArgument):
            await call


async def test_what_cannot_be_said_of_a_run_is_refused(client: Client) -> None:
    """Promise 16."""
    run = (await client.start_run()).name
    late = timestamp_pb2.Timestamp(seconds=253_402_300_800)  # the year 10000
    nan = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[struct_pb2.Value(number_value=float("nan"))]))
    point = runs_pb2.MetricPoint
    for refused in (
        _Run(state=_Run.STATE_FAILED),
        _Run(lifecycle=_Run.LIFECYCLE_ARCHIVED),
        _Run(etag="x"),
        _Run(child_runs=[run]),
        _Run(experiment="projects/other/experiments/default"),
        _Run(experiment="digits"),
        _Run(references=["not a name"]),
        _Run(references=[f"{DEFAULT}/{'x' * 1024}"]),
        _Run(references=[f"{DEFAULT}/{number}" for number in range(1001)]),
        _Run(start_time=late),
        _Run(tags={"k": "x" * 8193}),
    ):
        with pytest.raises(InvalidArgument):
            await client.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT, run=refused))
    for log in (
        runs_pb2.LogMetricsRequest(name=run, points=[point(key="")]),
        runs_pb2.LogMetricsRequest(name=run, points=[point(key="a"), point(key="x" * 256)]),
        runs_pb2.LogMetricsRequest(name=run, points=[point(key="a\0")]),
        runs_pb2.LogMetricsRequest(name=run, points=[point(key="a", time=late)]),
        runs_pb2.LogMetricsRequest(name=run, points=[point(key="a", step=step) for step in range(10_001)]),
        runs_pb2.LogMetricsRequest(name=run, objects=[runs_pb2.ObjectPoint(key="a", value=nan)]),
        runs_pb2.LogMetricsRequest(name=run, objects=[runs_pb2.ObjectPoint(key="a", value=_list("x" * 2**20))]),
        runs_pb2.LogMetricsRequest(
            name=run, objects=[runs_pb2.ObjectPoint(key="a", value=struct_pb2.Value(number_value=1))]
        ),
    ):
        with pytest.raises(InvalidArgument):
            await client.runs.LogMetrics(log)
    both = runs_pb2.SetRunTagsRequest(name=run, tags={"a": "b"}, removed_keys=["a"])
    with pytest.raises(InvalidArgument):
        await client.runs.SetRunTags(both)
    for sample in (
        runs_pb2.SampleMetricPointsRequest(parent="projects/other", runs=[run], keys=["a"]),
        runs_pb2.SampleMetricPointsRequest(parent=DEFAULT, runs=[run], keys=["a"], max_points=1),
        runs_pb2.SampleMetricPointsRequest(
            parent=DEFAULT, runs=[run] * 100, keys=[f"k{number}" for number in range(100)], max_points=51
        ),
        runs_pb2.SampleMetricPointsRequest(parent=DEFAULT, keys=["a"]),
    ):
        with pytest.raises(InvalidArgument):
            await client.runs.SampleMetricPoints(sample)
    assert (await client.runs.GetRun(runs_pb2.GetRunRequest(name=run))).latest_metrics == {}


async def test_the_first_and_the_last_moment_are_refused_and_no_list_breaks(client: Client) -> None:
    """The database's driver takes both for infinite, and would give back a time without a zone."""
    run = (await client.start_run()).name
    first = timestamp_pb2.Timestamp(seconds=-62_135_596_800)
    last = timestamp_pb2.Timestamp(seconds=253_402_300_799, nanos=999_999_000)
    for edge, inside in ((first, 1000), (last, -1000)):
        with pytest.raises(InvalidArgument):
            await client.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT, run=_Run(start_time=edge)))
        finish = runs_pb2.FinishRunRequest(name=run, state=_Run.STATE_FAILED, end_time=edge)
        with pytest.raises(InvalidArgument):
            await client.runs.FinishRun(finish)
        edge.nanos += inside
        made = await client.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT, run=_Run(start_time=edge)))
        assert made.start_time == edge
    listed = await client.runs.ListRuns(runs_pb2.ListRunsRequest(parent=DEFAULT, order_by="start_time"))
    assert [one.start_time for one in listed.runs][::2] == [first, last]


async def test_parameters_are_copied_to_search_by_in_one_pass(client: Client, postgres_url: str) -> None:
    """Promise 8: all were once read for each, until no memory was left. PostgreSQL's own pass is the measure."""
    said = {f"p{number}": struct_pb2.Value(string_value="x" * 4_000) for number in range(1000)}
    run = await client.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT, run=_Run(parameters=said)))
    connection = await asyncpg.connect(postgres_url, server_settings={"search_path": "registry"})
    took: dict[str, list[float]] = {"parameters_of_run(parameters) AS found (key, said)": [], _ITS_OWN: []}
    for _ in range(5):
        for rows, seconds in took.items():
            begin = time.perf_counter()
            length = await connection.fetchval(
                f"SELECT sum(length(said)) FROM runs, {rows} WHERE id = $1", run.id.value
            )
            seconds.append(time.perf_counter() - begin)
            assert length == 4_000_000
    await connection.close()
    ours, its_own = map(min, took.values())
    assert ours < 10 * its_own


async def test_an_input_with_a_name_of_any_characters_is_recorded_or_refused(client: Client) -> None:
    """Promise 16: 500 characters of four bytes each, which no index shortens, beside a digest of 255 bytes."""
    run = (await client.start_run()).name
    name = "".join(chr(0x20000 + number * 7919 % 0xA000) for number in range(500))
    for digest, fits in (("é" * 128, False), ("x" * 255, True)):
        data = artifact_pb2.RunDataInput(name=name, digest=digest)
        request = runs_pb2.LogRunInputsRequest(name=run, data_inputs=[data])
        if fits:
            assert [one.name for one in (await client.runs.LogRunInputs(request)).data_inputs] == [name]
            continue
        with pytest.raises(InvalidArgument):
            await client.runs.LogRunInputs(request)
    [listed] = (await client.runs.ListRuns(runs_pb2.ListRunsRequest(parent=DEFAULT, show_links=True))).runs
    assert list(listed.data_inputs) == [data]
    [listed] = (await client.runs.ListRuns(runs_pb2.ListRunsRequest(parent=DEFAULT))).runs
    assert not listed.data_inputs


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        (runs_pb2.ListRunsRequest(filter="metrics.loss <"), "INVALID_FILTER"),
        (runs_pb2.ListRunsRequest(filter="'; DROP TABLE runs; --"), "INVALID_FILTER"),
        (runs_pb2.ListRunsRequest(filter="(" * 8000), "INVALID_FILTER"),
        (runs_pb2.ListRunsRequest(filter="x" * 8193), "INVALID_FIELDS"),
        (runs_pb2.ListRunsRequest(order_by="metrics.loss sideways"), "INVALID_ORDER"),
        (runs_pb2.ListRunsRequest(experiments=["projects/other/experiments/default"]), "INVALID_FIELD"),
        (runs_pb2.ListRunsRequest(experiments=["digits"]), "INVALID_NAME"),
        (runs_pb2.ListRunsRequest(parent_run="x"), "INVALID_NAME"),
    ],
)
async def test_a_search_that_cannot_be_is_refused(
    client: Client, search: runs_pb2.ListRunsRequest, reason: str
) -> None:
    search.parent = DEFAULT
    with pytest.raises(InvalidArgument) as refused:
        await client.runs.ListRuns(search)
    assert refused.value.reason == reason


async def test_what_is_compared_with_never_becomes_sql(client: Client) -> None:
    """Promise 12."""
    run = (await client.start_run()).name
    for text in ("' OR true --", "%' OR '1'='1", "\\", "$1", ":x", "{}", '"; SELECT 1'):
        quoted = text.replace("'", "''")
        request = runs_pb2.ListRunsRequest(parent=DEFAULT, filter=f"tags.x = '{quoted}'")
        assert list((await client.runs.ListRuns(request)).runs) == []
        key = text.replace("`", "``")
        by_key = f"tags.`{key}` = '{quoted}' AND metrics.`{key}` > 0 AND params.`{key}` IS NULL"
        request = runs_pb2.ListRunsRequest(parent=DEFAULT, filter=by_key, order_by=f"params.`{key}`")
        assert list((await client.runs.ListRuns(request)).runs) == []
        await client.runs.SetRunTags(runs_pb2.SetRunTagsRequest(name=run, tags={text: text}))
        found = runs_pb2.ListRunsRequest(parent=DEFAULT, filter=f"tags.`{key}` = '{quoted}'", order_by=f"tags.`{key}`")
        assert [one.name for one in (await client.runs.ListRuns(found)).runs] == [run]
