"""A running inference service with models from memory, and stock clients of it."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
import tritonclient.grpc.aio as triton
from tritonclient.grpc import service_pb2_grpc

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.blobs import MemoryBlobs
from chassis.testing.services import Connect, StartService, TokenFor
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import ModelName
from services.inference.__main__ import wire
from services.inference.conversions.memory import MemoryConversions
from services.inference.conversions.publishing import MemoryPublisher
from services.inference.deployments.lineage import MemoryLineage
from services.inference.deployments.memory import MemoryDeployments
from services.inference.engines.loader import Isolation
from services.inference.guard.standing import MemoryStandings
from services.inference.incidents.memory import MemoryIncidents
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import Selector, SelectorKind
from services.inference.records.feedback.memory import MemoryFeedback
from services.inference.records.memory import MemoryRecords
from services.inference.settings import Settings
from services.inference.wiring.outside import Outside
from tests.unit.inference.waiting import eventually


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A running service, what is behind it, and clients of it. ``headers`` are those of somebody who may only read."""

    service: Service
    models: MemoryModels
    records: MemoryRecords
    kept: MemoryDeployments
    client: Any
    stub: Any
    headers: dict[str, str]
    admin: grpc.aio.Channel

    @property
    def deployments(self) -> "deployments_pb2_grpc.DeploymentServiceAsyncStub":
        return deployments_pb2_grpc.DeploymentServiceStub(self.admin)

    @property
    def inference_records(self) -> "deployments_pb2_grpc.InferenceRecordServiceAsyncStub":
        return deployments_pb2_grpc.InferenceRecordServiceStub(self.admin)

    async def serve(self, name: str, content: bytes, **batching: Any) -> None:
        """Serve an ONNX file under ``name``, and wait until it answers."""
        model = ModelName("default", name)
        version = self.models.add(model, {"model.onnx": NewFile("onnx", content)})
        self.models.point(model, Selector(SelectorKind.ALIAS, "served"), version)
        deployment = deployments_pb2.Deployment(
            model=str(model), alias="served", batching=deployments_pb2.Batching(**batching)
        )
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id=name, deployment=deployment
        )
        await self.deployments.CreateDeployment(request)
        await eventually(lambda: self.client.is_model_ready(name, headers=self.headers))


def in_memory(models: MemoryModels, records: MemoryRecords, deployments: MemoryDeployments) -> Outside:
    """Everything outside of the process, in memory."""
    return Outside(
        deployments,
        records,
        models,
        MemoryLineage(),
        MemoryIncidents(),
        MemoryStandings(),
        MemoryFeedback(),
        MemoryConversions(),
        MemoryPublisher(models),
        MemoryBlobs(),
    )


@pytest.fixture
def isolation() -> Isolation:
    """Where models compute. A process for each takes half a second to start: only tests for which that matters, and
    those of the whole protocol, override this by what is the default of the service."""
    return Isolation.NONE


@pytest_asyncio.fixture
async def running(
    start_service: StartService, connect: Connect, token_for: TokenFor, isolation: Isolation
) -> AsyncIterator[Running]:
    """The service, started."""
    models, records, deployments = MemoryModels(), MemoryRecords(), MemoryDeployments()

    async def build(settings: Settings) -> Service:
        service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        wire(service, settings, in_memory(models, records, deployments))
        return service

    service = await start_service(
        build, Settings, database_url="", redis_url="", resolve_interval_s=0.05, engine_isolation=isolation
    )
    client = triton.InferenceServerClient(service.address)
    headers = {"authorization": f"Bearer {token_for(Role.READER, subject='reader')}"}
    stub = service_pb2_grpc.GRPCInferenceServiceStub(connect(service.address, Role.READER))
    yield Running(service, models, records, deployments, client, stub, headers, connect(service.address, Role.ADMIN))
    await client.close()


@pytest.fixture
def token(token_for: TokenFor) -> str:
    """A reader's token."""
    return token_for(Role.READER)
