"""``headwater experiment`` and ``headwater run`` as a user types them, and runs that a program logs."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable

import pytest
from google.protobuf import json_format

from chassis import Service
from chassis.auth import Role
from chassis.testing import TokenFor
from headwater import cli, experiments, runs
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection, Endpoints
from headwater.errors import FailedPrecondition
from headwater.names import RunName
from headwater.registry.v1 import runs_pb2

Command = Callable[..., Awaitable[str]]


@pytest.fixture
def headwater(
    registry: Service, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command and returns what it prints; with ``refused`` its error."""
    monkeypatch.setenv("HEADWATER_REGISTRY_ADDRESS", registry.address)
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.WRITER))

    async def run(*arguments: str, refused: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, list(arguments))
        printed = capsys.readouterr()
        assert end.value.code in ((1, 2) if refused else (0, None)), printed.err
        return printed.err + printed.out

    return run


@pytest.fixture
def connection(registry: Service, token_for: TokenFor) -> Connection:
    """A connection to the registry."""
    return Connection(Endpoints(registry=registry.address), token_for(Role.WRITER))


def _train(connection: Connection, lr: float) -> RunName:
    with runs.start(
        connection, experiment="digits", display_name=f"lr {lr}", parameters={"lr": lr, "layers": [8, 4]}
    ) as run:
        for step in range(3):
            run.log({"loss": lr / (step + 1), "nothing": math.nan}, step)
        run.log_objects({"confusion": {"counts": [[5, 1], [0, 9]]}}, step=2)
        run.log_parameters({"seed": 7})
        run.set_tags({"team": "vision"})
        run.flush()
        found = runs.get(connection, run.name)
        assert found.latest_metrics["loss"] == lr / 3
        assert found.metric_summaries["loss"].point_count == 3
        return run.name


async def test_a_program_logs_its_run(connection: Connection) -> None:
    """M-29 to M-33."""
    await asyncio.to_thread(experiments.create, connection, experiments.named("digits"))
    name = await asyncio.to_thread(_train, connection, 0.3)
    run = await asyncio.to_thread(runs.get, connection, name)
    assert run.state == artifact_pb2.Run.STATE_SUCCEEDED
    assert run.experiment == "projects/default/experiments/digits"
    assert run.parameters["layers"].list_value.values[0].number_value == 8
    confusion = json_format.MessageToDict(run.latest_objects["confusion"])
    assert confusion == {"counts": [[5.0, 1.0], [0.0, 9.0]]}
    assert run.tags == {"team": "vision"}
    assert math.isnan(run.metric_summaries["nothing"].maximum)
    [series] = await asyncio.to_thread(runs.sample, connection, [name], ["loss"], 2)
    assert [point.step for point in series.points] == [0, 2]


def _fail(connection: Connection, error: BaseException) -> artifact_pb2.Run:
    names = []

    def program() -> None:
        with runs.start(connection) as run:
            names.append(run.name)
            run.log({"loss": 1.0})
            raise error

    with pytest.raises(type(error)):
        program()
    return runs.get(connection, names[0])


async def test_a_program_that_fails_or_is_interrupted_says_so(connection: Connection) -> None:
    failed = await asyncio.to_thread(_fail, connection, ValueError("no data"))
    assert (failed.state, failed.failure) == (artifact_pb2.Run.STATE_FAILED, "ValueError: no data")
    assert failed.latest_metrics["loss"] == 1.0
    stopped = await asyncio.to_thread(_fail, connection, KeyboardInterrupt())
    assert stopped.state == artifact_pb2.Run.STATE_CANCELLED


def _go_on(connection: Connection) -> None:
    with runs.start(connection) as first:
        first.log({"loss": 1.0}, 0)
    with pytest.raises(FailedPrecondition):
        first.log_parameters({"lr": 0.1})
    with runs.resume(connection, first.name) as again:
        again.log({"loss": 0.5}, 1)
    history = list(runs.points(connection, first.name, "loss"))
    assert [point.value for point in history if isinstance(point, runs_pb2.MetricPoint)] == [1.0, 0.5]
    assert runs.get(connection, first.name).state == artifact_pb2.Run.STATE_SUCCEEDED


async def test_a_program_goes_on_in_a_run(connection: Connection) -> None:
    await asyncio.to_thread(_go_on, connection)


async def test_experiments_on_the_command_line(headwater: Command) -> None:
    """M-04 to M-08, M-32."""
    printed = await headwater("experiment", "create", "digits", "--display-name", "Digits!", "--tag", "team=vision")
    assert "Digits!" in printed
    assert "team=vision" in printed
    assert "experiments/digits" in await headwater("experiment", "list", "--filter", "tags.team = 'vision'")
    assert "experiments/digits" not in await headwater("experiment", "list", "--filter", "tags.team = 'speech'")
    assert "second" in await headwater("experiment", "update", "digits", "--description", "The second.")
    uid = json.loads(await headwater("experiment", "show", "digits", "--json"))["uid"]
    await headwater("experiment", "rename", "digits", "numbers")
    assert "deprecated" in await headwater("experiment", "deprecate", "numbers", "--replacement", "default")
    assert "archived" in await headwater("experiment", "archive", "numbers")
    assert "EXPERIMENT_NOT_FOUND" in await headwater("experiment", "show", "numbers", refused=True)
    assert uid in await headwater("experiment", "list", "--all")
    assert "experiments/numbers" in await headwater("experiment", "reactivate", uid)
    assert "DEFAULT_EXPERIMENT" in await headwater("experiment", "archive", "default", refused=True)
    assert "must look like key=value" in await headwater("experiment", "create", "x", "--tag", "team", refused=True)


async def test_runs_on_the_command_line(headwater: Command, connection: Connection) -> None:
    """M-29 to M-33, R-28."""
    await headwater("experiment", "create", "digits")
    names = [await asyncio.to_thread(_train, connection, lr) for lr in (0.3, 0.03)]
    good, best = (name.run for name in names)
    printed = await headwater("run", "list", "--order-by", "metrics.loss", "--metric", "loss", "--experiment", "digits")
    assert printed.index(best) < printed.index(good)
    assert "0.01" in printed
    found = json.loads(await headwater("run", "search", "params.lr > 0.1 AND tags.team = 'vision'", "--json"))
    assert [run["name"] for run in found["runs"]] == [str(names[0])]
    assert best in await headwater("run", "list", "--limit", "1")
    refused = await headwater("run", "search", "params.lr >", refused=True)
    assert "INVALID_FILTER" in refused
    assert "at character 12" in refused

    shown = await headwater("run", "show", best)
    for word in (
        "lr 0.03",
        "succeeded",
        "layers=[8, 4]",
        "lr=0.03",
        "team=vision",
        '{"counts": [[5, 1], [0, 9]]}',
        "loss",
    ):
        assert word in shown, word
    history = await headwater("run", "metrics", best, "loss")
    assert [line.split()[0] for line in history.splitlines()] == ["0", "1", "2"]
    assert json.loads((await headwater("run", "metrics", best, "confusion", "--json")).strip())["key"] == "confusion"

    unknown = await headwater("run", "metrics", best, "los", refused=True)
    assert "no los; it has measured confusion, loss, nothing." in unknown
    assert "Must be >= 0" in await headwater("run", "list", "--limit", "-1", refused=True)

    assert "stage" in await headwater("run", "tag", best, "stage=late", "--remove", "team")
    assert "team" not in await headwater("run", "tag", best)
    changed = await headwater("run", "update", best, "--display-name", "the best", "--reference", str(names[0]))
    assert "the best" in changed
    assert str(names[0]) in changed
    await headwater("run", "archive", best)
    assert best not in await headwater("run", "list")
    assert best in await headwater("run", "list", "--archived")
    await headwater("run", "reactivate", best)
    assert best in await headwater("run", "list")
