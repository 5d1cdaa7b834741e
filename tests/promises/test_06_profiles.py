"""Promise 6 for profiles: each reaches exactly one end, whoever dies or stalls while it is computed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chassis.auth import Role
from chassis.testing import StartService, TokenFor
from headwater import datasets
from headwater.client import Connection, Endpoints
from headwater.dataset.v1 import profiles_pb2
from headwater.datasets import profiles
from services.dataset.__main__ import build
from services.dataset.settings import Settings

Start = Callable[..., "subprocess.Popen[bytes]"]
RUNNING = profiles_pb2.DatasetProfile.STATE_RUNNING
READY = profiles_pb2.DatasetProfile.STATE_READY
WAIT_S = 60.0


@pytest.fixture
def start_process(postgres_url: str, auth_key_file: Path, blobs_dir: Path) -> Iterator[Start]:
    """A function that starts a dataset process which computes profiles, and dies at a step if one is given."""
    started: list[subprocess.Popen[bytes]] = []

    def start(step: str = "", **settings: object) -> "subprocess.Popen[bytes]":
        values = {
            "port": 0,
            "flight_port": 0,
            "admin_port": 0,
            "database_url": postgres_url,
            "blobs_url": blobs_dir.as_uri(),
            "auth_key_file": auth_key_file,
            "log_level": "ERROR",
            "profile_lease_s": 2,
            **settings,
        }
        environment = {**os.environ, **{f"HEADWATER_{name.upper()}": str(value) for name, value in values.items()}}
        command = [sys.executable, "-m", "tests.promises.dying_dataset", *([step] if step else [])]
        started.append(subprocess.Popen(command, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def begin(start_service: StartService, token_for: TokenFor) -> Iterator[Callable[..., object]]:
    """A function that pushes rows to a process that computes no profiles, and begins one there."""
    opened = []

    async def begin(rows: int) -> tuple[Connection, str]:
        idle = await start_service(build, Settings, flight_port=0, profilers=0)
        endpoints = Endpoints(dataset=idle.address, dataset_flight=f"127.0.0.1:{idle.flight_port}")
        connection = Connection(endpoints, token_for(Role.WRITER))
        opened.append(connection)
        tables = datasets.Tables({"train": pa.table({"x": np.random.default_rng(0).normal(size=rows)})})
        await asyncio.to_thread(datasets.push, connection, "d", tables)
        return connection, (await asyncio.to_thread(profiles.begin, connection, "d")).name

    yield begin
    for connection in opened:
        connection.close()


@pytest.mark.parametrize(
    "step",
    ["after claim_profile", "committed claim_profile", "before end_profile", "after end_profile"],
)
async def test_a_profile_whose_process_is_killed_is_computed_by_the_next_one(
    start_process: Start, begin: Callable[..., object], step: str
) -> None:
    connection, name = await begin(50_000)  # type: ignore[misc]

    def story() -> None:
        assert start_process(step).wait(WAIT_S) == -signal.SIGKILL
        assert profiles.get(connection, name).state == RUNNING
        start_process()
        done = profiles.wait(connection, name, timeout_s=WAIT_S)
        assert (done.rows_done, done.splits[0].columns[0].count) == (50_000, 50_000)

    await asyncio.to_thread(story)


async def test_an_end_that_was_committed_stays_when_its_process_dies_right_after(
    start_process: Start, begin: Callable[..., object]
) -> None:
    connection, name = await begin(50_000)  # type: ignore[misc]

    def story() -> None:
        assert start_process("committed end_profile").wait(WAIT_S) == -signal.SIGKILL
        done = profiles.get(connection, name)
        assert done.state == READY
        start_process()
        second = profiles.make(connection, "d", timeout_s=WAIT_S)  # the next process is at work, and elsewhere
        assert second.splits == done.splits
        assert profiles.get(connection, name) == done

    await asyncio.to_thread(story)


async def test_a_profile_that_kills_each_of_its_processes_is_given_up_and_others_go_on(
    start_process: Start, begin: Callable[..., object]
) -> None:
    """As jobs that kill their worker each time: set aside after some tries."""
    connection, name = await begin(1000)  # type: ignore[misc]

    def story() -> None:
        for _ in range(2):
            process = start_process("before end_profile", profile_max_attempts=2)
            assert process.wait(WAIT_S) == -signal.SIGKILL
        other = profiles.begin(connection, "d").name
        start_process(profile_max_attempts=2)
        with pytest.raises(profiles.ProfileFailed, match="came to an end"):
            profiles.wait(connection, name, timeout_s=WAIT_S)
        assert profiles.wait(connection, other, timeout_s=WAIT_S).state == READY

    await asyncio.to_thread(story)


async def test_a_process_that_stalls_past_its_lease_writes_nothing_more(
    start_process: Start, begin: Callable[..., object]
) -> None:
    connection, name = await begin(4_000_000)  # type: ignore[misc]

    def story() -> None:
        stalled = start_process()
        _wait_until(lambda: profiles.get(connection, name).rows_done > 0)
        stalled.send_signal(signal.SIGSTOP)
        assert profiles.get(connection, name).state == RUNNING
        other = start_process()
        done = profiles.wait(connection, name, timeout_s=WAIT_S)
        other.kill()
        stalled.send_signal(signal.SIGCONT)
        # When it has come to the next one, it has let go of the first.
        profiles.make(connection, "d", timeout_s=WAIT_S)
        assert profiles.get(connection, name) == done

    await asyncio.to_thread(story)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
