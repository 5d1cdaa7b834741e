"""PyTorch's files on their whole way: registered, recognised, deployed, asked by a stock client."""

import dataclasses
import io
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import safetensors.torch
import torch
import tritonclient.grpc.aio as triton
from torch import nn
from tritonclient.utils import InferenceServerException

from chassis.auth import Role
from chassis.testing.services import Connect, StartService, TokenFor
from headwater.artifact.v1 import artifact_pb2
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, engines_pb2
from services.inference.__main__ import build
from services.inference.settings import Settings
from services.registry.__main__ import build as build_registry
from services.registry.settings import Settings as RegistrySettings
from tests.integration.registry.client import DIGITS, Client
from tests.unit.inference.test_torch_engines import Both, exported, scripted
from tests.unit.inference.waiting import eventually

State = deployments_pb2.Deployment.State
X = artifact_pb2.TensorSpec(name="x", datatype="FP32", shape=[-1, 4])
ROWS = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """A registry, an inference service, and clients of both."""

    registry: Client
    deployments: "deployments_pb2_grpc.DeploymentServiceAsyncStub"
    client: Any
    headers: dict[str, str]

    async def deploy(self, name: str, content: bytes, path: str, engine: engines_pb2.Engine) -> str:
        """Register and serve a file; the failure, once it is clear how it goes."""
        version = await self.registry.register(content, path)
        deployment = deployments_pb2.Deployment(model=DIGITS, version=version.version, engine=engine)
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id=name, deployment=deployment
        )
        created = await self.deployments.CreateDeployment(request)
        state = created

        async def decided() -> bool:
            nonlocal state
            state = await self.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=created.name))
            return state.state in (State.STATE_READY, State.STATE_FAILED)

        await eventually(decided, 30)
        return state.failure

    async def ask(self, name: str, **parameters: bool) -> Any:
        given = triton.InferInput("x", [5, 4], "FP32")
        given.set_data_from_numpy(ROWS)
        return await self.client.infer(name, [given], headers=self.headers, parameters=parameters or None)


@pytest_asyncio.fixture
async def world(start_service: StartService, connect: Connect, token_for: TokenFor) -> AsyncIterator[World]:
    registry = await start_service(build_registry, RegistrySettings, redis_url="", log_level="ERROR")
    inference = await start_service(
        build, Settings, redis_url="", registry_address=registry.address, resolve_interval_s=0.05, engine_threads=1
    )
    client = triton.InferenceServerClient(inference.address)
    headers = {"authorization": f"Bearer {token_for(Role.READER)}"}
    stub = deployments_pb2_grpc.DeploymentServiceStub(connect(inference.address))
    yield World(Client.on(connect(registry.address)), stub, client, headers)
    await client.close()


async def test_pytorch_is_served_in_every_safe_form(world: World) -> None:
    """P-19, P-23: TorchScript, an exported program and a state give what the module gives; features by a parameter."""
    torch.manual_seed(0)
    module = Both().eval()
    with torch.inference_mode():
        wanted = {name: tensor.numpy() for name, tensor in module(torch.from_numpy(ROWS)).items()}
    program = exported(module, torch.zeros(2, 4))
    assert await world.deploy("program", program, "model.pt2", engines_pb2.Engine()) == ""
    assert await world.deploy("script", scripted(module), "model.pt", engines_pb2.Engine(inputs=[X])) == ""

    for name in ("program", "script"):
        answer = await world.ask(name)
        for output, values in wanted.items():
            np.testing.assert_allclose(answer.as_numpy(output), values, atol=1e-6)
        without = await world.ask(name, return_features=False)
        assert without.as_numpy("features") is None
        np.testing.assert_allclose(without.as_numpy("logits"), wanted["logits"], atol=1e-6)
        assert (await world.ask(name, return_features=True)).as_numpy("features") is not None

    layers = nn.Sequential(module.hidden, nn.ReLU(), module.last)
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in layers.state_dict().items()})
    assert (
        await world.deploy("state", content, "model.safetensors", engines_pb2.Engine(architecture="mlp", inputs=[X]))
        == ""
    )
    np.testing.assert_allclose((await world.ask("state")).as_numpy("output_0"), wanted["logits"], atol=1e-6)
    with pytest.raises(InferenceServerException, match="no output features"):
        await world.ask("state", return_features=True)


async def test_what_cannot_be_served_says_why(world: World) -> None:
    """Weights without an architecture; and a whole pickled module, which loading would execute (promise 12)."""
    linear = nn.Linear(4, 3)
    weights = safetensors.torch.save(linear.state_dict())
    failure = await world.deploy("weights", weights, "model.safetensors", engines_pb2.Engine())
    assert "must have one file of a format that can be served here" in failure
    failure = await world.deploy("script", scripted(linear), "model.pt", engines_pb2.Engine())
    assert "say it in the deployment's engine.inputs" in failure
    pickled = io.BytesIO()
    torch.save(linear, pickled)
    version = await world.registry.register(pickled.getvalue(), "model.pt")
    assert version.problems
