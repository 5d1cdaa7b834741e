"""``headwater deployment options`` and ``configure``, over a running service."""

import asyncio
import functools
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.auth import Role
from chassis.testing.services import TokenFor
from headwater import cli, conversions, deployments
from headwater.client import Connection, Endpoints
from headwater.errors import DeadlineExceeded
from headwater.names import DeploymentName, ModelName, ModelVersionName
from services.inference.conversions import convert
from services.inference.models.memory import NewFile
from services.inference.models.source import Selector, SelectorKind
from tests.integration.inference.conftest import Running
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def headwater(
    running: Running, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command; its exit code, and what it prints and complains of."""
    monkeypatch.setenv("HEADWATER_INFERENCE_ADDRESS", running.service.address)
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.WRITER))

    async def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, [*map(str, arguments)])
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, " ".join(printed.err.split())

    return run


@pytest.fixture
def deployment(headwater: Command) -> Command:
    """The same of ``headwater deployment``."""
    return functools.partial(headwater, "deployment")


async def shown(deployment: Command) -> dict[str, Any]:
    """The options as they are printed, behind what the service has logged."""
    _, printed, _ = await deployment("options", "double")
    options: dict[str, Any] = json.loads(printed[printed.index("{\n") :])
    return options


async def test_options_are_changed_by_a_file_and_shown_as_one(
    running: Running, deployment: Command, tmp_path: Path
) -> None:
    await running.serve("double", onnx_models.doubling(), max_batch_size=16)
    file = tmp_path / "options.yml"
    file.write_text("batching: {max_batch_size: 8, max_delay: 0.002s}\ncache: {enabled: true, ttl: 60s}\n")

    assert (await deployment("configure", "double", file))[0] == 0

    options = await shown(deployment)
    assert options["batching"]["max_batch_size"] == 8
    assert options["batching"]["max_delay"] == "0.002s"
    assert options["cache"] == {"enabled": True, "max_bytes": "67108864", "max_entries": 65536, "ttl": "60s"}
    file.write_text(json.dumps(options))
    assert (await deployment("configure", "double", file))[0] == 0
    file.write_text("cache: {}")
    await deployment("configure", "double", file)
    again = await shown(deployment)
    assert "enabled" not in again["cache"]
    assert again["batching"] == options["batching"], "what a file leaves out stays"


async def test_what_is_no_option_is_refused(running: Running, deployment: Command, tmp_path: Path) -> None:
    await running.serve("double", onnx_models.doubling())
    file = tmp_path / "options.yml"
    for text, complaint in {
        "batchign: {}": "batchign",
        "batching: {max_size: 3}": "max_size",
        "batching: {max_batch_size: many}": "max_batch_size",
        "model: projects/default/models/other": "model is no option",
        "etag: x": "etag is no option",
        "- 1": "must hold options by name",
        "{": "no YAML",
        "{}": "nothing to change",
        "batching: {preferred_batch_sizes: [100]}": "at most max_batch_size",
    }.items():
        file.write_text(text)
        code, _, printed = await deployment("configure", "double", file)
        assert code == 1, text
        assert complaint in printed
    code, _, printed = await deployment("configure", "double", tmp_path / "none.yml")
    assert code == 1
    assert "none.yml" in printed


async def test_a_deployment_is_created_with_its_options(running: Running, deployment: Command, tmp_path: Path) -> None:
    await running.serve("first", onnx_models.doubling())
    file = tmp_path / "options.yml"
    file.write_text("engine: {instances: 2, threads: 1}\nbatching: {max_batch_size: 8}\n")
    create = ["create", "double", "--model", "first", "--alias", "served", "--options", file]

    code, printed, complained = await deployment(*create)

    assert code == 0, complained
    assert "ready" in printed
    options = await shown(deployment)
    assert (options["engine"]["instances"], options["engine"]["threads"]) == (2, 1)
    assert options["batching"]["max_batch_size"] == 8
    for text, complaint in {
        "engine: {device: tpu}": "device",
        "engine: {autocast: AUTOCAST_INT4}": "AUTOCAST_INT4",
        "engine: {outputs: [{name: y, datatype: FP32}]}": "together with inputs",
        "model: other": "model is no option",
    }.items():
        file.write_text(text)
        code, _, complained = await deployment(*create)
        assert code == 1, text
        assert complaint in complained
    file.write_text("preparing: {input: INPUT_RAW}")
    code, _, complained = await deployment(*create, "--takes", "tensors")
    assert (code, "what an argument does, too" in complained) == (1, True)


async def test_a_deployment_is_unloaded_loaded_and_archived(running: Running, deployment: Command) -> None:
    await running.serve("double", onnx_models.doubling())
    assert "unloaded" in (await deployment("unload", "double"))[1]
    code, _, complained = await deployment("create", "double", "--model", "first", "--alias", "served")
    assert (code, "being served already" in complained) == (1, True), "it keeps its name"

    code, printed, complained = await deployment("load", "double")
    assert (code, "ready" in printed) == (0, True), complained

    assert "archived" in (await deployment("archive", "double"))[1]
    assert "double" not in (await deployment("list"))[1].splitlines()[-1]
    code, _, complained = await deployment("unload", "double")
    assert (code, "DEPLOYMENT_ARCHIVED" in complained) == (1, True)


async def test_who_waits_is_told_for_what_and_that_a_deployment_is_there_that_does_not_answer(
    running: Running, deployment: Command, tmp_path: Path
) -> None:
    await running.serve("first", onnx_models.doubling())
    code, printed, _ = await deployment("create", "later", "--model", "first", "--version", "7", "--no-wait")
    assert (code, "waiting" in printed) == (0, True)

    async def told() -> bool:
        return "There is no version 7 of projects/default/models/first." in (await deployment("show", "later"))[1]

    await eventually(told)
    file = tmp_path / "options.yml"
    file.write_text("engine: {architecture: mlp}")
    create = ("create", "weights", "--model", "first", "--alias", "served", "--options", file)
    code, _, complained = await deployment(*create)
    assert (code, "weights is there all the same" in complained) == (1, True)
    assert "DEPLOYMENT_FAILED" in complained


async def test_rules_of_a_guard_are_set_one_by_one_and_put_back(running: Running, headwater: Command) -> None:
    await running.serve("double", onnx_models.doubling())

    async def rules(*arguments: str) -> list[str]:
        code, printed, complained = await headwater("guard", "set", "double", *arguments)
        assert code == 0, complained
        return [" ".join(line.split()) for line in printed.splitlines()]

    first = await rules("--max-p99-ms", "100", "--also-counts", "QUEUE_FULL", "--no-rollback")
    assert {"max p99 100 ms", "also counts QUEUE_FULL", "rollback off", "window 30000 ms"} <= {*first}
    second = await rules("--window-ms", "5000")
    assert {"max p99 100 ms", "also counts QUEUE_FULL", "rollback off", "window 5000 ms"} <= {*second}
    third = await rules("--max-p99-ms", "0", "--empty-also-counts", "--default", "window-ms", "--rollback")
    assert {"max p99 not judged", "rollback on", "window 30000 ms"} <= {*third}
    assert not any("QUEUE_FULL" in line for line in third)
    for wrong, told in (
        (("--window-ms", "0"), "--default window-ms puts it back"),
        (("--max-error-rate", "0"), "max-error-rate cannot be 0"),
        (("--probes", "2", "--default", "probes"), "Give --probes or --default probes"),
        (("--default", "windows"), "windows has no default"),
    ):
        code, _, complained = await headwater("guard", "set", "double", *wrong)
        assert (code, told in complained) == (1, True), complained


async def test_what_is_shown_of_a_deployment_says_where_breakers_stand(running: Running, deployment: Command) -> None:
    await running.serve("double", onnx_models.doubling())
    rows = [line.split() for line in (await deployment("show", "double"))[1].splitlines()]
    assert ["main", "100", "%", "1", "0", "0", "closed"] in rows


async def test_who_changes_a_deployment_is_told_in_a_line_what_is_true_now(
    running: Running, deployment: Command, tmp_path: Path
) -> None:
    await running.serve("double", onnx_models.doubling())
    await running.serve("double-2", onnx_models.doubling())
    file = tmp_path / "options.yml"
    file.write_text("batching: {max_batch_size: 8}\ncache: {enabled: true}\n")

    async def line(*arguments: str | Path) -> str:
        code, printed, complained = await deployment(*arguments)
        assert code == 0, complained
        return printed.splitlines()[-1]

    assert await line("configure", "double", file) == "double: batching, cache changed; it is ready, version 1 answers"
    assert (await line("resume", "double")).startswith("double: goes by its alias served again; it is ready")
    running.models.point(ModelName("default", "double"), SERVED, add(running, "double", onnx_models.identity()))
    back = await line("rollback", "double", "--version", "1", "--reason", "it is wrong")
    assert back.startswith("double: goes back to version 1; it is ")
    for changing in (("configure", "double", file), ("resume", "double"), ("unload", "double")):
        code, printed, _ = await deployment(*changing, "--json")
        assert (code, json.loads(printed[printed.index("{\n") :])["name"]) == (0, "projects/default/deployments/double")


async def test_who_waits_for_a_version_is_told_that_it_answers_or_why_it_does_not(
    running: Running, deployment: Command
) -> None:
    await running.serve("double", onnx_models.doubling())
    add(running, "double", onnx_models.identity())
    add(running, "double", b"no model")

    code, _, complained = await deployment("update", "double", "3", "--wait")
    assert code == 1
    assert "projects/default/models/double/versions/3: " in complained
    assert "is to serve version 3 all the same" in complained

    code, printed, complained = await deployment("update", "double", "2", "--wait")
    assert code == 0, complained
    assert "projects/default/models/double/versions/2" in printed, "what failed before is not waited for"
    assert "ready" in printed
    with pytest.raises(DeadlineExceeded, match="did not serve version 1 within 0 s"):
        await asyncio.to_thread(waiting_in_vain, running.service.address)


SERVED = Selector(SelectorKind.ALIAS, "served")


def add(running: Running, model: str, content: bytes) -> Any:
    return running.models.add(ModelName("default", model), {"model.onnx": NewFile("onnx", content)})


def waiting_in_vain(address: str) -> None:
    name, version = DeploymentName("default", "double"), ModelVersionName("default", "double", "1")
    with Connection(Endpoints(inference=address), os.environ["HEADWATER_TOKEN"]) as connection:
        deployments.wait_until_serves(connection, name, version, timeout_s=0)


@pytest.mark.parametrize("samples", ["0", "-1"])
async def test_a_conversion_compares_some_inputs(headwater: Command, samples: str) -> None:
    code, _, complained = await headwater("model", "convert", "digits@3", "--samples", samples)
    assert (code, "At least one input is compared" in complained) == (1, True)
    assert conversions.SAMPLES == convert._DEFAULT_SAMPLES
