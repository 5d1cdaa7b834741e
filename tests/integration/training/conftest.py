"""The registry, the dataset service and the scheduler, as they run in production, with small data in them."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import psutil
import pyarrow as pa
import pytest
from google.protobuf import struct_pb2

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import Connect, StartService, TokenFor
from headwater import code, datasets
from headwater.client import Connection, Endpoints
from headwater.names import ModelName
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc
from services.dataset.__main__ import build as build_dataset
from services.dataset.settings import Settings as DatasetSettings
from services.registry.__main__ import build as build_registry
from services.registry.settings import RegistrySettings
from services.training_scheduler.__main__ import build as build_scheduler
from services.training_scheduler.settings import Settings

ENDED = {
    jobs_pb2.TrainingJob.STATE_SUCCEEDED,
    jobs_pb2.TrainingJob.STATE_FAILED,
    jobs_pb2.TrainingJob.STATE_CANCELLED,
}
Predicate = Callable[[jobs_pb2.TrainingJob], bool]


@dataclasses.dataclass
class Platform:
    """Three running services and a client."""

    registry: Service
    dataset: Service
    scheduler: Service
    connection: Connection
    channels: dict[str, grpc.aio.Channel]
    training_dir: Path
    dataset_version: str = ""

    @property
    def jobs(self) -> Any:
        """The stub of TrainingJobService."""
        return jobs_pb2_grpc.TrainingJobServiceStub(self.channels["training"])

    async def push(self, name: str, splits: Mapping[str, pa.Table]) -> str:
        """Make a dataset version and return its resource name."""
        pushed = await asyncio.to_thread(datasets.push, self.connection, name, datasets.Tables(splits))
        return pushed.version.name

    async def upload(self, folder: Path) -> str:
        """Store a folder of code and return the artifact's resource name."""
        return (await asyncio.to_thread(code.upload, self.connection, folder)).name

    async def submit(self, code_name: str, **spec: Any) -> jobs_pb2.TrainingJob:
        """Submit a job that runs train.py."""
        parameters = struct_pb2.Struct()
        parameters.update(spec.pop("parameters", {}))
        model, request_id = spec.pop("model", ""), spec.pop("request_id", "")
        values = {"command": ["train.py"], "worker_count": 1, "dataset_version": self.dataset_version, **spec}
        request = jobs_pb2.CreateTrainingJobRequest(
            parent="projects/default",
            spec=jobs_pb2.TrainingSpec(
                code=code_name,
                parameters=parameters.fields,
                model=str(ModelName("default", model)) if model else "",
                **values,
            ),
            request_id=request_id,
        )
        job: jobs_pb2.TrainingJob = await self.jobs.CreateTrainingJob(request)
        return job

    async def until(self, name: str, predicate: Predicate, timeout_s: float = 90.0) -> jobs_pb2.TrainingJob:
        """Watch the job until ``predicate`` holds, or it has ended."""
        async with asyncio.timeout(timeout_s):
            async for job in self.jobs.WatchTrainingJob(jobs_pb2.WatchTrainingJobRequest(name=name)):
                if predicate(job) or job.state in ENDED:
                    return job
        raise AssertionError("the watch ended before the job")

    async def end(self, name: str, timeout_s: float = 90.0) -> jobs_pb2.TrainingJob:
        """The job when it has ended."""
        return await self.until(name, lambda _: False, timeout_s)


def workers_of(job: str) -> dict[int, psutil.Process]:
    """The worker processes of a job on this machine, by rank."""
    found = {}
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if environment.get("HEADWATER_JOB") == job and "RANK" in environment:
            found[int(environment["RANK"])] = process
    return found


def small_table(rows: int = 64) -> pa.Table:
    """Rows like those that the preprocessing makes of images: two classes that a linear model can tell apart."""
    random = np.random.default_rng(7)
    labels = [str(row % 2) for row in range(rows)]
    pixels = random.normal(size=(rows, 16)).astype(np.float32) * 0.1
    pixels += np.array([[float(label)] for label in labels], dtype=np.float32)
    tensor = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 16)
    field = pa.field("tensor", tensor.type, metadata={"headwater.shape": json.dumps([1, 4, 4])})
    return pa.table([tensor, pa.array(labels)], schema=pa.schema([field, pa.field("label", pa.string())]))


@pytest.fixture
async def platform(
    start_service: StartService, token_for: TokenFor, connect: Connect, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Platform]:
    """The platform with a dataset of three small splits. ``@pytest.mark.parametrize("platform", [...], indirect=True)``
    gives settings of the scheduler.
    """
    registry = await start_service(build_registry, RegistrySettings)
    dataset = await start_service(build_dataset, DatasetSettings, flight_port=0)
    addresses = {
        "registry_address": registry.address,
        "dataset_address": dataset.address,
        "dataset_flight_address": f"127.0.0.1:{dataset.flight_port}",
    }
    settings = {"training_dir": tmp_path / "training", "poll_s": 0.5, "stop_grace_s": 2.0, "local_workers": 2}
    settings |= getattr(request, "param", {})
    scheduler = await start_service(build_scheduler, Settings, **addresses, **settings)
    endpoints = Endpoints(
        registry=registry.address,
        dataset=dataset.address,
        dataset_flight=addresses["dataset_flight_address"],
        training=scheduler.address,
    )
    with Connection(endpoints, token_for(Role.WRITER, subject="ada")) as connection:
        platform = Platform(
            registry=registry,
            dataset=dataset,
            scheduler=scheduler,
            connection=connection,
            channels={
                "registry": connect(registry.address, Role.WRITER),
                "dataset": connect(dataset.address, Role.WRITER),
                "training": connect(scheduler.address, Role.WRITER),
            },
            training_dir=tmp_path / "training",
        )
        splits = {split: small_table() for split in ("train", "validation", "test")}
        platform.dataset_version = await platform.push("small", splits)
        yield platform


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    """A function that makes a folder with a train.py."""

    def make(script: str) -> Path:
        path = tmp_path / "code"
        path.mkdir(exist_ok=True)
        (path / "train.py").write_text(script)
        return path

    return make


Folder = Callable[[str], Path]
"""``folder("print(1)")``: a folder with that text as train.py."""
