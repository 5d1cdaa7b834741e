"""A deployment whose model another server computes: here a second Headwater, which speaks the same protocol."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.testing.services import Connect, StartService, TokenFor
from headwater.errors import InvalidArgument
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, engines_pb2
from headwater.names import ModelName
from services.inference.__main__ import wire
from services.inference.deployments.memory import MemoryDeployments
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import ModelVersion
from services.inference.records.memory import MemoryRecords
from services.inference.settings import Settings
from tests.integration.inference.conftest import in_memory
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

MODEL = ModelName("default", "digits")
State = deployments_pb2.Deployment.State


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A service whose deployments name the other one, and the models of both."""

    far: Service
    near: Service
    models: MemoryModels
    versions: list[ModelVersion]
    far_deployments: "deployments_pb2_grpc.DeploymentServiceAsyncStub"
    deployments: "deployments_pb2_grpc.DeploymentServiceAsyncStub"
    client: Any
    headers: dict[str, str]

    async def deploy(self, name: str, version: str = "1", **endpoint: Any) -> deployments_pb2.Deployment:
        """Name version 1 of ``digits`` on the other server, unless told otherwise."""
        told = {"address": self.far.address, "model_name": "digits", "model_version": "1", **endpoint}
        engine = engines_pb2.Engine(triton=engines_pb2.TritonEndpoint(**told), instances=2)
        deployment = deployments_pb2.Deployment(model=str(MODEL), version=version, engine=engine)
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id=name, deployment=deployment
        )
        return await self.deployments.CreateDeployment(request)

    async def get(self, name: str) -> deployments_pb2.Deployment:
        request = deployments_pb2.GetDeploymentRequest(name=f"projects/default/deployments/{name}")
        return await self.deployments.GetDeployment(request)

    async def until(self, name: str, state: int) -> deployments_pb2.Deployment:
        async def there() -> bool:
            return bool((await self.get(name)).state == state)

        await eventually(there, 20)
        return await self.get(name)

    async def ask(self, name: str, value: float, rows: int = 1) -> Any:
        given = triton.InferInput("x", [rows, 4], "FP32")
        given.set_data_from_numpy(np.full((rows, 4), value, np.float32))
        return await self.client.infer(name, [given], headers=self.headers)


@pytest_asyncio.fixture
async def pair(start_service: StartService, connect: Connect, token_for: TokenFor) -> AsyncIterator[Pair]:
    """Both run; the far one serves version 1, a model that multiplies by three, without asking who calls."""
    models = MemoryModels()
    versions = [models.add(MODEL, {"model.onnx": NewFile("onnx", onnx_models.scaled(factor))}) for factor in (3.0, 5.0)]

    async def build(settings: Settings) -> Service:
        service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        wire(service, settings, in_memory(models, MemoryRecords(), MemoryDeployments()))
        return service

    common: dict[str, Any] = {"database_url": "", "redis_url": "", "resolve_interval_s": 0.05, "log_level": "ERROR"}
    far = await start_service(build, Settings, auth_key_file="", engine_isolation="none", **common)
    far_deployments = deployments_pb2_grpc.DeploymentServiceStub(connect(far.address))
    await far_deployments.CreateDeployment(
        deployments_pb2.CreateDeploymentRequest(
            parent="projects/default",
            deployment_id="digits",
            deployment=deployments_pb2.Deployment(model=str(MODEL), version="1"),
        )
    )
    async with triton_aio.InferenceServerClient(far.address) as asking:
        await eventually(lambda: asking.is_model_ready("digits"), 20)
    near = await start_service(build, Settings, triton_hosts=far.address, engine_timeout_s=5, **common)
    client = triton_aio.InferenceServerClient(near.address)
    headers = {"authorization": f"Bearer {token_for(Role.READER, subject='reader')}"}
    stub = deployments_pb2_grpc.DeploymentServiceStub(connect(near.address))
    yield Pair(far, near, models, versions, far_deployments, stub, client, headers)
    await client.close()


async def test_a_remote_model_answers_under_the_version_that_it_declares(pair: Pair) -> None:
    created = await pair.deploy("far")
    assert created.engine.triton.model_version == "1"
    served = await pair.until("far", State.STATE_READY)
    assert served.model_digest == pair.versions[0].digest

    answer = await pair.ask("far", 7, rows=3)

    assert (answer.as_numpy("y") == 21).all()
    assert answer.as_numpy("y").shape == (3, 4)
    metadata = await pair.client.get_model_metadata("far", headers=pair.headers)
    assert (metadata.platform, list(metadata.inputs[0].shape)) == ("onnxruntime_onnx", [-1, 4])


async def test_what_is_not_the_version_or_not_allowed_is_kept_out_with_the_reason(pair: Pair) -> None:
    await pair.deploy("other-version", version="2")
    told = (await pair.until("other-version", State.STATE_FAILED)).failure
    assert pair.versions[1].digest in told
    assert "declares to be" in told

    await pair.deploy("elsewhere", address="127.0.0.1:1")
    assert "not one of those that the operator allows" in (await pair.until("elsewhere", State.STATE_FAILED)).failure

    await pair.deploy("nothing", model_name="nothing")
    told = (await pair.until("nothing", State.STATE_FAILED)).failure
    assert f"{pair.far.address}: nothing 1 is not ready on the server." in told

    with pytest.raises(InvalidArgument, match="a host in lower case and a port"):
        await pair.deploy("url", address="http://169.254.169.254/latest")
    with pytest.raises(InvalidArgument, match="number of a version"):
        await pair.deploy("latest", model_version="")


async def test_a_server_that_is_gone_is_unavailable_and_answers_again_when_it_is_back(pair: Pair) -> None:
    await pair.deploy("far")
    await pair.until("far", State.STATE_READY)
    pause = deployments_pb2.Deployment(name="projects/default/deployments/digits", unloaded=True)
    request = deployments_pb2.UpdateDeploymentRequest(deployment=pause)
    request.update_mask.paths.append("unloaded")
    await pair.far_deployments.UpdateDeployment(request)

    errors: list[InferenceServerException] = []

    async def away() -> bool:
        try:
            await pair.ask("far", 1)
        except InferenceServerException as error:
            errors.append(error)
            return True
        return False

    await eventually(away, 20)
    assert {error.status() for error in errors} == {"StatusCode.UNAVAILABLE"}
    assert not any(pair.far.address in str(error) for error in errors)

    request.deployment.unloaded = False
    await pair.far_deployments.UpdateDeployment(request)

    async def back() -> bool:
        return not await away()

    await eventually(back, 20)
    assert ((await pair.ask("far", 2)).as_numpy("y") == 6).all()
