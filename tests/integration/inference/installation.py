"""The service as it runs in production: PostgreSQL, a running registry, the stock client."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, Protocol

import grpc.aio
import httpx
import numpy as np
import tritonclient.grpc.aio as triton

from chassis import Service
from chassis.auth import Role
from chassis.testing.services import Connect, StartService, TokenFor
from headwater.artifact.v1 import artifact_pb2
from headwater.inference.v1 import (
    deployments_pb2,
    deployments_pb2_grpc,
    rollouts_pb2_grpc,
)
from headwater.registry.v1 import models_pb2
from services.inference.__main__ import build
from services.inference.settings import Settings
from services.registry.__main__ import build as build_registry
from services.registry.settings import Settings as RegistrySettings
from tests.integration.registry.client import DIGITS, Client
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

Stage = artifact_pb2.ModelMetadata.Stage
State = deployments_pb2.Deployment.State
NAME = "projects/default/deployments/digits"


@dataclasses.dataclass(frozen=True, slots=True)
class Installation:
    """A registry, an inference service and clients of both."""

    registry: Service
    inference: Service
    models: Client
    deployments: "deployments_pb2_grpc.DeploymentServiceAsyncStub"
    records: "deployments_pb2_grpc.InferenceRecordServiceAsyncStub"
    rollouts: "rollouts_pb2_grpc.RolloutServiceAsyncStub"
    channel: grpc.aio.Channel
    triton: Any
    headers: dict[str, str]

    async def promote(self, factor: float) -> artifact_pb2.ModelMetadata:
        """Register a version that multiplies by ``factor`` and move it to production."""
        return await self.promote_file(onnx_models.scaled(factor))

    async def promote_file(self, content: bytes) -> artifact_pb2.ModelMetadata:
        """Register an ONNX file as a version and move it to production."""
        version = await self.models.register(content, "model.onnx")
        move = models_pb2.SetModelVersionStageRequest(name=version.name, stage=Stage.STAGE_PRODUCTION)
        return await self.models.models.SetModelVersionStage(move)

    async def create(self, **fields: Any) -> deployments_pb2.Deployment:
        """Deploy ``digits`` by its production stage, unless told otherwise."""
        deployment = deployments_pb2.Deployment(model=DIGITS, **(fields or {"stage": Stage.STAGE_PRODUCTION}))
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id="digits", deployment=deployment, request_id="r1"
        )
        return await self.deployments.CreateDeployment(request)

    async def get(self) -> deployments_pb2.Deployment:
        return await self.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))

    async def state(self) -> int:
        return int((await self.get()).state)

    async def until(self, state: int, version: str = "") -> None:
        """Wait until the deployment is in this state, with this version."""

        async def there() -> bool:
            deployment = await self.get()
            return bool(deployment.state == state and deployment.model_version.endswith(version))

        await eventually(there, 20)

    async def ask(self, value: float = 1) -> Any:
        values = np.full((1, 4), value, np.float32)
        given = triton.InferInput("x", [1, 4], "FP32")
        given.set_data_from_numpy(values)
        return await self.triton.infer("digits", [given], headers=self.headers)

    async def factor(self) -> float:
        return float((await self.ask()).as_numpy("y")[0, 0])

    async def record_of(self, answer: Any) -> deployments_pb2.InferenceRecord:
        request_id = answer.get_response().parameters["headwater_request_id"].string_param
        name = f"projects/default/inferenceRecords/{request_id}"
        return await self.records.GetInferenceRecord(deployments_pb2.GetInferenceRecordRequest(name=name))

    async def readiness(self) -> int:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.inference.admin_port}") as http:
            return int((await http.get("/ok/ready")).status_code)


class Install(Protocol):
    async def __call__(self, **overrides: Any) -> Installation: ...


@contextlib.asynccontextmanager
async def installing(start_service: StartService, connect: Connect, token_for: TokenFor) -> AsyncIterator[Install]:
    """Starts a registry and an inference service; ``overrides`` are settings of the latter."""
    clients = []

    async def start(**overrides: Any) -> Installation:
        registry = await start_service(build_registry, RegistrySettings, redis_url="", log_level="ERROR")
        settings = {"registry_address": registry.address, "resolve_interval_s": 0.05, "check_interval_s": 0.1}
        inference = await start_service(build, Settings, redis_url="", **{**settings, **overrides})
        clients.append(triton.InferenceServerClient(inference.address))
        channel = connect(inference.address)
        return Installation(
            registry,
            inference,
            Client.on(connect(registry.address)),
            deployments_pb2_grpc.DeploymentServiceStub(channel),
            deployments_pb2_grpc.InferenceRecordServiceStub(channel),
            rollouts_pb2_grpc.RolloutServiceStub(channel),
            channel,
            clients[-1],
            {"authorization": f"Bearer {token_for(Role.READER, subject='reader')}"},
        )

    yield start
    for client in clients:
        await client.close()
