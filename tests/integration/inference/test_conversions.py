"""Versions converted and tuned as jobs: from the registry, in a confined process, to what clients are answered."""

import asyncio
import contextlib
import dataclasses
import io
import json
import secrets
import shutil
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import safetensors.torch
import torch
import tritonclient.grpc.aio as triton
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from chassis.auth import Authenticator, Role
from chassis.rpc.client import channel
from chassis.settings import ServiceSettings
from chassis.testing.databases import Databases
from headwater import deployments, models
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import FailedPrecondition, HeadwaterError, InvalidArgument, NotFound
from headwater.inference.v1 import (
    conversions_pb2,
    conversions_pb2_grpc,
    deployments_pb2,
    deployments_pb2_grpc,
    engines_pb2,
)
from headwater.inference.v1.conversions_pb2 import AccuracyGate, Conversion, ConversionJob, Tuning
from headwater.names import DeploymentName, ModelName
from headwater.registry.v1 import lineage_pb2, models_pb2
from tests import platform
from tests.integration.registry.client import DIGITS, Client
from tests.platform import Platform
from tests.unit.inference.onnx_models import model, tensor
from tests.unit.inference.test_torch_engines import exported, scripted
from tests.unit.inference.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

X = artifact_pb2.TensorSpec(name="x", datatype="FP32", shape=[-1, 64])
ROWS = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
DONE = (ConversionJob.STATE_SUCCEEDED, ConversionJob.STATE_FAILED, ConversionJob.STATE_CANCELLED)
Target = Conversion.Target
State = deployments_pb2.Deployment.State


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).eval()


def answers(module: nn.Module) -> Any:
    with torch.inference_mode():
        return module(torch.from_numpy(ROWS)).numpy()


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """A registry, an inference service, and clients of both."""

    registry: Client
    conversions: "conversions_pb2_grpc.ConversionServiceAsyncStub"
    deployments: "deployments_pb2_grpc.DeploymentServiceAsyncStub"
    client: Any
    headers: dict[str, str]

    async def begin(self, source: str, **job: Any) -> ConversionJob:
        request = conversions_pb2.CreateConversionJobRequest(
            parent="projects/default", conversion_job=ConversionJob(source=source, **job)
        )
        return await self.conversions.CreateConversionJob(request)

    async def run(self, source: str, **job: Any) -> ConversionJob:
        """A job, when it has ended."""
        name = (await self.begin(source, **job)).name
        return await self.ended(name)

    async def ended(self, name: str, within_s: float = 60) -> ConversionJob:
        async def over() -> bool:
            return (await self.job(name)).state in DONE

        await eventually(over, within_s)
        return await self.job(name)

    async def job(self, name: str) -> ConversionJob:
        return await self.conversions.GetConversionJob(conversions_pb2.GetConversionJobRequest(name=name))

    @staticmethod
    def artifact(version: artifact_pb2.ModelMetadata, path: str) -> str:
        """The name of one of its files."""
        digest = next(each.digest for each in version.files if each.path == path)
        return f"projects/default/artifacts/{digest.removeprefix('sha256:')}"

    async def serve(self, name: str, version: str, engine: engines_pb2.Engine | None = None) -> Any:
        """What a version answers as a deployment."""
        deployment = deployments_pb2.Deployment(model=DIGITS, version=version.rpartition("/")[2], engine=engine)
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id=name, deployment=deployment
        )
        await self.deployments.CreateDeployment(request)
        await eventually(lambda: self.client.is_model_ready(name, headers=self.headers), 30)
        return await self.ask(name)

    async def ask(self, name: str) -> Any:
        about = await self.client.get_model_metadata(name, headers=self.headers)
        given = triton.InferInput(about.inputs[0].name, [3, 64], "FP32")
        given.set_data_from_numpy(ROWS)
        answer = await self.client.infer(name, [given], headers=self.headers)
        return answer.as_numpy(about.outputs[0].name)


@contextlib.asynccontextmanager
async def serving(databases: Databases, directory: Path, **said: Any) -> AsyncIterator[Platform]:
    """A registry and an inference service, with these settings."""
    key = directory / "auth.key"
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32))
    authenticator = Authenticator.from_key_file(key)
    database = databases.create_migrated()

    async with contextlib.AsyncExitStack() as running:

        async def start(build: Any, settings: Any, **overrides: Any) -> Any:
            common = {"port": 0, "admin_port": 0, "auth_key_file": str(key), "redis_url": "", "log_level": "ERROR"}
            stores = {"blobs_url": (directory / "blobs").as_uri(), "database_url": database}
            ports = {port: 0 for port in ("http_port", "flight_port") if port in settings.model_fields}
            service = await build(settings(**common, **stores, **ports, **overrides))
            running.push_async_callback(service.stop)
            await service.start()
            return service

        def token_for(*roles: Role, subject: str = "tester", ttl_s: float = 3600) -> str:
            return authenticator.mint(subject, roles, ttl_s)

        started = Platform(token_for)
        await platform.start(started, "registry", start, directory)
        quick = {"resolve_interval_s": 0.05, "conversion_poll_s": 0.05, "engine_threads": 1}
        await platform.start(started, "inference", start, directory, **quick, **said)
        yield started
    databases.drop(database)


@contextlib.asynccontextmanager
async def clients_of(services: Platform) -> AsyncIterator[World]:
    inference = services.services["inference"].address
    client = triton.InferenceServerClient(inference)
    token = services.token_for(Role.ADMIN)
    async with (
        channel(inference, token=lambda: token, settings=ServiceSettings()) as to_inference,
        channel(services.services["registry"].address, token=lambda: token, settings=ServiceSettings()) as to_registry,
    ):
        yield World(
            Client.on(to_registry),
            conversions_pb2_grpc.ConversionServiceStub(to_inference),
            deployments_pb2_grpc.DeploymentServiceStub(to_inference),
            client,
            {"authorization": f"Bearer {services.token_for(Role.READER)}"},
        )
    await client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """One for all tests of this module, which do not meet."""
    async with serving(databases, tmp_path_factory.mktemp("services")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(services: Platform) -> AsyncIterator[World]:
    async with clients_of(services) as made:
        yield made


async def test_a_version_is_converted_registered_and_served(world: World) -> None:
    """P-28, P-19, P-20, M-76, M-100: each form is a new version with its evidence, and answers as the source does."""
    module = network()
    source = await world.registry.register(exported(module, torch.zeros(2, 64)), "model.pt2")

    onnx = await world.run(source.name, conversion=Conversion(target=Target.TARGET_ONNX))
    assert (onnx.state, onnx.failure) == (ConversionJob.STATE_SUCCEEDED, "")
    (candidate,) = onnx.evidence.candidates
    assert candidate.differences[0].outside_count == 0
    assert 0 < candidate.differences[0].largest_absolute < 1e-5
    assert candidate.differences[0].element_count == 10 * (2 + 1 + 3 + 5) * 2
    assert onnx.evidence.source_digest == source.files[0].digest
    version = await world.registry.models.GetModelVersion(models_pb2.GetModelVersionRequest(name=onnx.result))
    assert {file.path for file in version.files} == {"model.onnx", "conversion.json"}
    kept = json.loads(await world.registry.download(world.artifact(version, "conversion.json")))
    assert kept["candidates"][0]["differences"][0]["largest_absolute"] == candidate.differences[0].largest_absolute
    assert version.metadata["converted_from"].string_value == source.name
    assert version.metadata["conversion_job"].string_value == onnx.name
    graph = await world.registry.lineage.GetLineage(lineage_pb2.GetLineageRequest(name=version.name))
    assert source.name in {edge.first_name for edge in graph.connections if edge.second_name == version.name}
    np.testing.assert_allclose(await world.serve("onnx", onnx.result), answers(module), atol=1e-5)

    script = await world.run(source.name, conversion=Conversion(target=Target.TARGET_TORCHSCRIPT))
    assert script.state == ConversionJob.STATE_SUCCEEDED, script.failure
    engine = engines_pb2.Engine(inputs=script.evidence.inputs, outputs=script.evidence.outputs)
    np.testing.assert_allclose(await world.serve("script", script.result, engine), answers(module), atol=1e-6)

    refused = await world.run(onnx.result, conversion=Conversion(target=Target.TARGET_ONNX_INT8))
    assert (refused.state, refused.failure_reason, refused.result) == (ConversionJob.STATE_FAILED, "NOT_ACCURATE", "")
    assert refused.evidence.candidates[0].differences[0].outside_count > 0
    int8 = await world.run(
        onnx.result,
        conversion=Conversion(target=Target.TARGET_ONNX_INT8),
        gate=AccuracyGate(min_top1_agreement=0.9),
    )
    assert int8.state == ConversionJob.STATE_SUCCEEDED, int8.failure
    assert int8.evidence.candidates[0].size_bytes < 0.5 * candidate.size_bytes
    np.testing.assert_allclose(await world.serve("int8", int8.result), answers(module), atol=0.05)
    listed = await world.conversions.ListConversionJobs(
        conversions_pb2.ListConversionJobsRequest(parent="projects/default", page_size=3)
    )
    assert [job.name for job in listed.conversion_jobs] == [int8.name, refused.name, script.name]
    assert listed.next_page_token


async def test_what_a_tuning_found_is_used(world: World) -> None:
    """P-29: measured inside the gate, never slower than the source, and written into a deployment on request."""
    module = network()
    state = safetensors.torch.save(module.state_dict())
    source = await world.registry.register(state, "model.safetensors")
    engine = engines_pb2.Engine(architecture="mlp", inputs=[X])
    before = await world.serve("digits", source.name, engine)
    job = await world.run(source.name, engine=engine, tuning=Tuning(seconds=0.5, int8=True, max_batch_size=16))
    assert (job.state, job.failure) == (ConversionJob.STATE_SUCCEEDED, "")
    found = {each.name: each for each in job.evidence.candidates}
    assert found["baseline"].speedup == 1
    assert {each.format for each in found.values()} == {"safetensors", "torchscript", "onnx", "onnx_int8"}
    assert "differ by more than" in next(each.refused for each in found.values() if each.format == "onnx_int8")
    assert found["torch.compile"].refused.startswith("NO_COMPILER: the service's setting conversion_compiler")
    assert found["torch.compile"].rounds == 0
    assert job.evidence.speedup >= 1
    assert all(each.refused or each.name == job.evidence.chosen or each.rounds for each in found.values())
    # What wins depends on what else the machine does; what is made of it does not.
    chosen = found[job.evidence.chosen]
    assert bool(job.result) == (chosen.format != "safetensors")
    assert (chosen.refused, chosen.speedup) == ("", job.evidence.speedup)
    assert [each.rows for each in job.evidence.batch_times] == [1, 2, 4, 8, 16]
    assert job.evidence.max_batch_size in (1, 2, 4, 8, 16)

    request = conversions_pb2.ApplyConversionJobRequest(name=job.name, deployment="projects/default/deployments/digits")
    applied = await world.conversions.ApplyConversionJob(request)
    assert (applied.model_version, applied.threads) == (job.result or source.name, chosen.threads)
    assert applied.max_batch_size == job.evidence.max_batch_size

    async def follows() -> bool:
        name = deployments_pb2.GetDeploymentRequest(name="projects/default/deployments/digits")
        deployment = await world.deployments.GetDeployment(name)
        assert not deployment.failure
        serves = deployment.engine.threads == chosen.threads and deployment.state == State.STATE_READY
        return serves and deployment.model_version == applied.model_version

    await eventually(follows, 30)
    np.testing.assert_allclose(await world.ask("digits"), before, atol=1e-5)


@pytest.mark.timeout(300)
async def test_what_a_compiler_makes_is_measured_where_the_operator_allows_it_and_never_chosen(
    databases: Databases, tmp_path: Path
) -> None:
    """P-29: evidence by the same gate and clock. Where no compiler is installed, that is what the evidence says."""
    async with serving(databases, tmp_path, conversion_compiler=True) as started, clients_of(started) as world:
        source = await world.registry.register(exported(network(), torch.zeros(2, 64)), "model.pt2")
        begun = await world.begin(source.name, tuning=Tuning(seconds=0.2, max_batch_size=1))
        job = await world.ended(begun.name, within_s=150)
    assert (job.state, job.failure) == (ConversionJob.STATE_SUCCEEDED, "")
    (compiled,) = (each for each in job.evidence.candidates if each.name == "torch.compile")
    assert job.evidence.chosen != "torch.compile"
    if shutil.which("g++", path="/usr/local/bin:/usr/bin:/bin") is None:
        assert compiled.refused.startswith("NO_COMPILER: no g++ is installed")
        return
    assert compiled.refused.startswith("CANNOT_BE_SERVED: measured")
    assert compiled.rounds >= 5
    assert 0 < compiled.low_ms <= compiled.median_ms <= compiled.high_ms
    assert compiled.speedup > 0
    assert compiled.conversion_seconds > 0
    assert compiled.top1_agreement == 1
    assert [each.outside_count for each in compiled.differences] == [0]
    assert compiled.differences[0].element_count == 10 * (2 + 1 + 3 + 5) * 2


async def test_what_cannot_be_converted_says_why(world: World) -> None:
    """Bad input: a damaged file, a file of no known kind, TorchScript that is TorchScript already, a cancelled job."""
    module = network()
    onnx = Conversion(target=Target.TARGET_ONNX)
    damaged = await world.registry.register(without_sense(exported(module, torch.zeros(2, 64))), "model.pt2")
    job = await world.run(damaged.name, conversion=onnx)
    assert (job.state, job.result, job.failure_reason) == (ConversionJob.STATE_FAILED, "", "MODEL_REFUSED")
    assert "PyTorch cannot load the file as an exported program" in job.failure
    text = await world.registry.register(b"no model", "model.txt")
    job = await world.run(text.name, conversion=onnx)
    assert (job.failure_reason, "a format that can be converted here" in job.failure) == ("NOTHING_TO_SERVE", True)
    script = await world.registry.register(scripted(module), "model.pt")
    job = await world.run(script.name, conversion=Conversion(target=Target.TARGET_TORCHSCRIPT))
    assert (job.failure_reason, "say it in" in job.failure) == ("MODEL_REFUSED", True)
    said = engines_pb2.Engine(inputs=[X])
    job = await world.run(script.name, engine=said, conversion=Conversion(target=Target.TARGET_TORCHSCRIPT))
    assert (job.failure_reason, job.failure) == ("CANNOT_CONVERT", "There is no way from torchscript to TorchScript.")
    job = await world.run(script.name, engine=said, conversion=onnx)
    assert job.state == ConversionJob.STATE_SUCCEEDED, job.failure

    begun = await world.begin(script.name, engine=said, tuning=Tuning(seconds=3000))
    cancel = conversions_pb2.CancelConversionJobRequest(name=begun.name)
    assert (await world.conversions.CancelConversionJob(cancel)).state == ConversionJob.STATE_CANCELLED
    await refused(world.conversions.CancelConversionJob(cancel), FailedPrecondition, "CONVERSION_OVER")
    apply = conversions_pb2.ApplyConversionJobRequest(name=job.name, deployment="projects/default/deployments/x")
    await refused(world.conversions.ApplyConversionJob(apply), FailedPrecondition, "NOTHING_CHOSEN")
    unknown = conversions_pb2.GetConversionJobRequest(name="projects/default/conversionJobs/none")
    await refused(world.conversions.GetConversionJob(unknown), NotFound, "CONVERSION_NOT_FOUND")
    for wrong, reason in (
        ({"conversion": onnx, "state": ConversionJob.STATE_RUNNING}, "INVALID_CONVERSION"),
        ({}, "INVALID_CONVERSION"),
        ({"conversion": Conversion()}, "INVALID_FIELDS"),
        ({"tuning": Tuning(min_speedup=0.5)}, "INVALID_CONVERSION"),
        ({"conversion": onnx, "timeout_seconds": 1e9}, "INVALID_CONVERSION"),
        ({"conversion": onnx, "engine": engines_pb2.Engine(device="cuda")}, "INVALID_CONVERSION"),
        ({"conversion": onnx, "engine": engines_pb2.Engine(callable="rank")}, "INVALID_CONVERSION"),
        (
            {"conversion": onnx, "gate": AccuracyGate(tolerance=AccuracyGate.Tolerance(), min_top1_agreement=1)},
            "INVALID_CONVERSION",
        ),
    ):
        await refused(world.begin(script.name, **wrong), InvalidArgument, reason)
    await refused(world.begin(f"{DIGITS}/versions/99", conversion=onnx), NotFound, "NO_SUCH_VERSION")
    await refused(
        world.begin("projects/other/models/digits/versions/1", conversion=onnx), InvalidArgument, "INVALID_CONVERSION"
    )


async def refused(call: Awaitable[Any], kind: type[HeadwaterError], reason: str) -> None:
    with pytest.raises(kind) as error:
        await call
    assert error.value.reason == reason


def without_sense(program: bytes) -> bytes:
    """An exported program with an operator that there is not."""
    damaged = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(program)) as before, zipfile.ZipFile(damaged, "w", zipfile.ZIP_STORED) as after:
        for member in before.namelist():
            after.writestr(member, before.read(member).replace(b"aten.relu.default", b"aten.nolu.default"))
    return damaged.getvalue()


def layer() -> bytes:
    """y = x W: one row of 16 becomes 4."""
    weights = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", TensorProto.FLOAT, ("rows", 16))],
        [tensor("y", TensorProto.FLOAT, ("rows", 4))],
        initializer=[numpy_helper.from_array(weights, "w")],
    ).SerializeToString()


async def test_versions_are_converted_and_tuned_from_the_command_line(services: Platform, tmp_path: Path) -> None:
    """P-20, P-28, P-29: what was found is printed; what cannot be done is one sentence, and the exit code 1."""
    folder = tmp_path / "home"
    folder.joinpath(".headwater").mkdir(parents=True)
    file = tmp_path / "model.onnx"
    file.write_bytes(layer())

    def typed(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "headwater", "model", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
        return done.returncode, done.stdout + done.stderr

    with services.connect(Role.WRITER) as connection:
        told = {"token": connection.token, "endpoints.json": json.dumps(dataclasses.asdict(connection.endpoints))}
        for name, content in told.items():
            folder.joinpath(".headwater", name).write_text(content)

        def steps() -> None:
            layers, served = ModelName("default", "layers"), DeploymentName("default", "layers")
            models.register(connection, layers, {"model.onnx": file})
            code, shown = typed("convert", "layers@1", "--to", "onnx-int8", "--min-top1", "0.5")
            assert (code, "projects/default/models/layers/versions/2" in shown) == (0, True), shown
            assert "succeeded" in shown
            assert "onnx_int8" in shown
            code, shown = typed("convert", "layers@1", "--to", "onnx")
            assert (code, "The file is ONNX already." in shown) == (1, True), shown
            code, shown = typed("convert", "layers@1", "--to", "tensorrt")
            assert (code, "target must be one of torchscript, onnx, onnx-int8" in shown) == (1, True), shown
            code, shown = typed("convert", "layers@1", "--input", "x")
            assert (code, "name:TYPE:shape" in shown) == (1, True), shown
            deployments.create(connection, served, layers, version="1")
            code, shown = typed("tune", "layers@1", "--seconds", "0.1", "--max-batch-size", "4", "--apply", "layers")
            assert (code, "times as fast" in shown) == (0, True), shown
            code, shown = typed("conversion", "list")
            jobs = [line for line in shown.splitlines() if "models/layers/versions/1" in line]
            assert (code, len(jobs)) == (0, 3), shown
            assert "convert to onnx-int8" in shown
            job = next(line.split()[0] for line in jobs if " tune " in line)
            code, shown = typed("conversion", "show", job)
            assert (code, "baseline" in shown) == (0, True), shown
            code, shown = typed("conversion", "cancel", job)
            assert (code, "has ended already" in shown) == (1, True), shown

        await asyncio.to_thread(steps)
