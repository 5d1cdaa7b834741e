"""Readers whose service dies and comes back on the same ports: they go on where the stream broke."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import TokenFor
from deploy.ports import free
from headwater import datasets
from headwater.client import Connection, Endpoints
from headwater.errors import Unavailable
from headwater.torch import FlightDataset, FlightLoader

ROWS = 40_000


@pytest.fixture
async def version(service: Service, connection: Connection) -> str:
    """A version of 40 MB, more than the buffers between a server and a reader hold."""
    values = np.random.default_rng(0).random(ROWS * 250, np.float32)
    table = pa.table({"row": np.arange(ROWS), "x": pa.FixedSizeListArray.from_arrays(pa.array(values), 250)})
    pushed = await asyncio.to_thread(datasets.push, connection, "d", datasets.Tables({"train": table}))
    return pushed.version.name


class Mortal:
    """The dataset service as a process that can be killed and started again."""

    def __init__(self, environment: dict[str, str], ports: tuple[int, int]) -> None:
        self._environment = environment
        self.endpoints = Endpoints(dataset=f"127.0.0.1:{ports[0]}", dataset_flight=f"127.0.0.1:{ports[1]}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is ready some seconds later."""
        self._process = subprocess.Popen([sys.executable, "-m", "services.dataset"], env=self._environment)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def mortal(postgres_url: str, auth_key_file: Path, blobs_dir: Path) -> Iterator[Mortal]:
    """A second service on the test's database and blobs."""
    ports = free(2)
    settings = {
        "PORT": ports[0],
        "FLIGHT_PORT": ports[1],
        "ADMIN_PORT": 0,
        "DATABASE_URL": postgres_url,
        "BLOBS_URL": blobs_dir.as_uri(),
        "AUTH_KEY_FILE": auth_key_file,
        "LOG_LEVEL": "ERROR",
    }
    environment = {**os.environ, **{f"HEADWATER_{name}": str(value) for name, value in settings.items()}}
    service = Mortal(environment, (ports[0], ports[1]))
    yield service
    service.kill()


Open = Callable[..., FlightDataset]


@pytest.fixture
def open_dataset(mortal: Mortal, version: str, token_for: TokenFor) -> Iterator[Open]:
    """A function that opens a dataset of the mortal service, which it starts."""
    mortal.start()
    with Connection(mortal.endpoints, token_for(Role.READER)) as connection:

        def open_(patience_s: float) -> FlightDataset:
            return FlightDataset(
                connection,
                version,
                "train",
                global_batch_size=500,
                shuffle_seed=2,
                prefetch_bytes=1 << 20,
                patience_s=patience_s,
                rank=0,
                world_size=1,
            )

        wait_until_ready(connection)
        yield open_


def wait_until_ready(connection: Connection) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            list(datasets.list_datasets(connection))
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("workers", [0, 2])
async def test_a_stream_is_taken_up_again_when_the_service_is_back(
    open_dataset: Open, mortal: Mortal, workers: int
) -> None:
    """No row twice, none missed, and the order is that of a stream that did not break."""

    def story() -> None:
        undisturbed = [batch["row"] for batch in open_dataset(60)]
        seen = []
        for batch in FlightLoader(open_dataset(60), num_workers=workers):
            seen.append(batch["row"])
            if len(seen) in (3, 40):
                mortal.kill()
                mortal.start()
        assert torch.equal(torch.cat(seen), torch.cat(undisturbed))
        assert sorted(torch.cat(seen).tolist()) == list(range(ROWS))

    await asyncio.to_thread(story)


async def test_a_service_that_does_not_come_back_is_an_error_and_the_state_is_there(
    open_dataset: Open, mortal: Mortal
) -> None:
    def story() -> None:
        dataset, seen = open_dataset(1), 0
        batches = iter(dataset)
        next(batches)
        mortal.kill()

        def read_on() -> None:
            nonlocal seen
            for _ in batches:
                seen += 1

        with pytest.raises(Unavailable):
            read_on()
        assert seen < len(dataset) - 1
        assert dataset.state_dict()["row"] == 500 * (1 + seen)

    await asyncio.to_thread(story)
