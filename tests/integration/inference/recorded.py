"""A service that keeps its records in PostgreSQL and in files of a directory."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.blobs import LocalBlobs
from chassis.clock import SystemClock
from chassis.db.engine import Database
from chassis.rpc.client import channel
from chassis.settings import ServiceSettings
from chassis.testing.services import StartService, TokenFor
from headwater.client import Connection, Endpoints
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, recording_pb2
from headwater.names import InferenceRecordName, ModelName
from services.inference.__main__ import wire
from services.inference.deployments.memory import MemoryDeployments
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import Selector, SelectorKind
from services.inference.records.feedback.postgres import PostgresFeedback
from services.inference.records.memory import MemoryRecords
from services.inference.records.postgres import PostgresRecords
from services.inference.records.rotation import Rotation, RotationOptions
from services.inference.settings import Settings
from tests.integration.inference.conftest import in_memory
from tests.unit.inference.waiting import eventually

NOW = RotationOptions(after_s=0, rows=1_000_000, retention_s=0, body_retention_s=0, interval_s=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """The service, its stores, and clients of it in the roles of a writer and of a reader."""

    service: Service
    database: Database
    blobs: LocalBlobs
    models: MemoryModels
    triton: Any
    writer: Connection
    reader: Connection

    async def serve(self, name: str, content: bytes, recording: recording_pb2.Recording | None = None) -> None:
        """Serve an ONNX file, recording requests by these rules, and wait until it answers."""
        model = ModelName("default", name)
        version = self.models.add(model, {"model.onnx": NewFile("onnx", content)})
        self.models.point(model, Selector(SelectorKind.ALIAS, "served"), version)
        deployment = deployments_pb2.Deployment(model=str(model), alias="served", recording=recording)
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id=name, deployment=deployment
        )
        async with self._aio() as stub:
            await stub.CreateDeployment(request)
        await eventually(lambda: self.triton.is_model_ready(name, headers=self.headers))

    async def ask(self, name: str, values: Any) -> InferenceRecordName:
        """Ask for a prediction of the input x; the name of its record."""
        array = np.array(values, np.float32)
        given = triton.InferInput("x", list(array.shape), "FP32")
        given.set_data_from_numpy(array)
        answer = await self.triton.infer(name, [given], headers=self.headers)
        return InferenceRecordName("default", answer.get_response().parameters["headwater_request_id"].string_param)

    async def move(self) -> int:
        """Move all records that are written into a file; returns how many."""
        records = PostgresRecords(self.database)
        return await Rotation(records, PostgresFeedback(self.database), self.blobs, SystemClock(), NOW).rotate()

    @property
    def headers(self) -> dict[str, str]:
        """What the stock client sends."""
        return {"authorization": f"Bearer {self.reader.token}"}

    @contextlib.asynccontextmanager
    async def _aio(self) -> AsyncIterator[Any]:
        token, settings = self.writer.token, ServiceSettings()
        async with channel(self.service.address, token=lambda: token, settings=settings) as opened:
            yield deployments_pb2_grpc.DeploymentServiceStub(opened)


@contextlib.asynccontextmanager
async def recorded(
    start_service: StartService, token_for: TokenFor, postgres_url: str, blobs_dir: Path, **settings: Any
) -> AsyncIterator[Recorded]:
    """The service, running."""
    database, blobs, models = Database(postgres_url, "inference", 4), LocalBlobs(blobs_dir), MemoryModels()

    async def build(settings: Settings) -> Service:
        service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        outside = dataclasses.replace(
            in_memory(models, MemoryRecords(), MemoryDeployments()),
            records=PostgresRecords(database),
            feedback=PostgresFeedback(database),
            blobs=blobs,
        )
        wire(service, settings, outside)
        return service

    service = await start_service(
        build,
        Settings,
        database_url="",
        redis_url="",
        resolve_interval_s=0.05,
        record_flush_interval_s=0.02,
        **settings,
    )
    endpoints = Endpoints(inference=service.address, inference_flight=f"127.0.0.1:{service.flight_port}")
    client = triton.InferenceServerClient(service.address)
    with (
        Connection(endpoints, token_for(Role.WRITER, subject="ada")) as writer,
        Connection(endpoints, token_for(Role.READER, subject="reader")) as reader,
    ):
        yield Recorded(service, database, blobs, models, client, writer, reader)
    await client.close()
    await service.stop()
    await database.close()
