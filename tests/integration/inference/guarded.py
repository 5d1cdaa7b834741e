"""A deployment that defends itself, and a caller of it."""

import dataclasses
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from headwater.inference.v1 import deployments_pb2, guard_pb2, incidents_pb2, incidents_pb2_grpc, routing_pb2
from headwater.names import ModelName
from services.inference.models.memory import NewFile
from services.inference.models.source import Selector, SelectorKind
from tests.integration.inference.conftest import Running
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

NAME = "projects/default/deployments/guarded"
MODEL = ModelName("default", "guarded")
CHOSEN = Selector(SelectorKind.ALIAS, "served")

GOOD = onnx_models.table_lookup(1000)
FAILING = onnx_models.table_lookup(8)
"""It fails on an index from 8 on."""
TOO_FAR, FINE = 100, 3


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: which version answered, or the error's text and status."""

    version: str = ""
    error: str = ""
    status: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Guarded:
    """A deployment ``guarded``, and a caller of it."""

    running: Running

    @property
    def incidents(self) -> "incidents_pb2_grpc.IncidentServiceAsyncStub":
        return incidents_pb2_grpc.IncidentServiceStub(self.running.admin)

    async def serve(
        self, *contents: bytes, guard: guard_pb2.Guard, routing: routing_pb2.Routing | None = None, queue: int = 0
    ) -> None:
        """Serve the last of these files as a version of its own, after the others were versions before it."""
        for content in contents:
            self.add(content)
        deployment = deployments_pb2.Deployment(
            model=str(MODEL),
            alias="served",
            guard=guard,
            routing=routing,
            batching=deployments_pb2.Batching(max_queue_size=queue),
        )
        await self.running.deployments.CreateDeployment(
            deployments_pb2.CreateDeploymentRequest(
                parent="projects/default", deployment_id="guarded", deployment=deployment
            )
        )
        await eventually(self.is_ready)
        if routing is not None:
            await eventually(lambda: self.running.client.is_model_ready("guarded", "1", headers=self.running.headers))

    async def is_ready(self) -> bool:
        """Whether the version that the alias stands for answers, and not only its fallback."""
        return (await self.deployment()).state == deployments_pb2.Deployment.STATE_READY

    def add(self, content: bytes) -> None:
        """Let the alias stand for this file."""
        version = self.running.models.add(MODEL, {"model.onnx": NewFile("onnx", content)})
        self.running.models.point(MODEL, CHOSEN, version)

    async def ask(self, index: int, *, shape: tuple[int, ...] = (1,), request_id: str = "") -> Outcome:
        """What comes of one request."""
        tensor = triton.InferInput("x", shape, "INT64")
        tensor.set_data_from_numpy(np.full(shape, index, np.int64))
        try:
            answer = await self.running.client.infer(
                "guarded", [tensor], headers=self.running.headers, request_id=request_id
            )
        except InferenceServerException as error:
            return Outcome(error=error.message(), status=str(error.status()))
        return Outcome(answer.get_response().model_version)

    async def deployment(self) -> deployments_pb2.Deployment:
        return await self.running.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))

    async def all(self, **wanted: Any) -> list[incidents_pb2.Incident]:
        """Every incident, whole, the oldest first."""
        request = incidents_pb2.ListIncidentsRequest(parent="projects/default", **wanted)
        listed = (await self.incidents.ListIncidents(request)).incidents
        whole = [self.incidents.GetIncident(incidents_pb2.GetIncidentRequest(name=each.name)) for each in listed]
        return [await each for each in reversed(whole)]


def rules(*, consecutive: int = 3, open_ms: int = 200, rollback: bool = False, **more: Any) -> guard_pb2.Guard:
    """Rules that act within a test's time."""
    breaker = guard_pb2.CircuitBreaker(
        consecutive_failures=consecutive, open_ms=open_ms, max_open_ms=max(open_ms, 400), probes=2, **more
    )
    return guard_pb2.Guard(breaker=breaker, rollback=guard_pb2.Rollback(disabled=not rollback))


def falls_back_to(version: str) -> routing_pb2.Routing:
    return routing_pb2.Routing(fallbacks=[routing_pb2.Fallback(version=version)])


async def answered_by(guarded: Guarded, index: int, version: str, shape: tuple[int, ...] = (1,)) -> bool:
    return (await guarded.ask(index, shape=shape)).version == version


async def rolled_back(guarded: Guarded) -> bool:
    return (await guarded.deployment()).state == deployments_pb2.Deployment.STATE_ROLLED_BACK
