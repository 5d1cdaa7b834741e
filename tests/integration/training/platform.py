"""Real services for training, and what tests do with them."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import psutil
import pyarrow as pa
from google.protobuf import struct_pb2

from chassis.auth import Role
from chassis.testing import Connect, StartService, TokenFor
from headwater import code, datasets
from headwater.client import Connection, Endpoints
from headwater.names import ModelName
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc
from services.dataset.__main__ import build as build_dataset
from services.dataset.settings import Settings as DatasetSettings
from services.registry.__main__ import build as build_registry
from services.registry.settings import Settings as RegistrySettings

ENDED = {
    jobs_pb2.TrainingJob.STATE_SUCCEEDED,
    jobs_pb2.TrainingJob.STATE_FAILED,
    jobs_pb2.TrainingJob.STATE_CANCELLED,
}
Predicate = Callable[[jobs_pb2.TrainingJob], bool]
Training = Callable[[Mapping[str, str]], Awaitable[str]]
"""Starts schedulers, given the other services' addresses as settings; returns one scheduler's address."""


@dataclasses.dataclass
class Platform:
    """Running services and a client."""

    connection: Connection
    channels: dict[str, grpc.aio.Channel]
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
        seen = jobs_pb2.TrainingJob()
        async with asyncio.timeout(timeout_s):
            async for job in self.jobs.WatchTrainingJob(jobs_pb2.WatchTrainingJobRequest(name=name)):
                seen.CopyFrom(job)
                if predicate(job) or job.state in ENDED:
                    break
        return seen

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


@contextlib.asynccontextmanager
async def start_platform(
    start_service: StartService, token_for: TokenFor, connect: Connect, training: Training
) -> AsyncIterator[Platform]:
    """The registry and the dataset service, a dataset of three small splits, and what ``training`` starts."""
    registry = await start_service(build_registry, RegistrySettings)
    dataset = await start_service(build_dataset, DatasetSettings, flight_port=0)
    addresses = {
        "registry_address": registry.address,
        "dataset_address": dataset.address,
        "dataset_flight_address": f"127.0.0.1:{dataset.flight_port}",
    }
    address = await training(addresses)
    endpoints = Endpoints(
        registry=registry.address,
        dataset=dataset.address,
        dataset_flight=addresses["dataset_flight_address"],
        training=address,
    )
    with Connection(endpoints, token_for(Role.WRITER, subject="ada")) as connection:
        channels = {
            "registry": connect(registry.address, Role.WRITER),
            "training": connect(address, Role.WRITER),
        }
        platform = Platform(connection, channels)
        splits = {split: small_table() for split in ("train", "validation", "test")}
        platform.dataset_version = await platform.push("small", splits)
        yield platform


def write_code(directory: Path, script: str) -> Path:
    """A folder with ``script`` as its train.py."""
    folder = directory / "code"
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(script)
    return folder
