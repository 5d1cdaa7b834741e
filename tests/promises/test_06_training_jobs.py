"""Promise 6: an accepted job reaches exactly one terminal state, whatever becomes of its scheduler.

Two scheduler processes share one database; the one that has the job is stopped past its lease, or killed. Its workers
log their fencing token with every epoch, so that it can be told afterwards whose word was kept.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from chassis.auth import Role
from chassis.testing import Connect, StartService, TokenFor
from headwater.errors import Aborted, HeadwaterError
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc, workers_pb2, workers_pb2_grpc
from tests.integration.training.platform import Platform, start_platform, workers_of, write_code

ROOT = Path(__file__).parents[2]
EPOCHS = 12
SCRIPT = f"""
import os, time, torch
import headwater.training

with headwater.training.session() as session:
    model = torch.nn.Linear(1, 1)
    restored = session.load_checkpoint(model)
    for epoch in range(restored.epoch if restored else 0, {EPOCHS}):
        time.sleep(0.3)
        session.log_metrics({{"token": float(os.environ["HEADWATER_FENCING_TOKEN"])}}, step=epoch)
        session.report_progress(epoch=epoch, epoch_count={EPOCHS}, step=epoch)
        session.save_checkpoint(model, epoch=epoch + 1, step=epoch + 1)
"""

StartScheduler = Callable[[], psutil.Popen]


@pytest.fixture
def schedulers() -> Iterator[list[psutil.Popen]]:
    """Scheduler processes, killed after the test with all their workers."""
    started: list[psutil.Popen] = []
    yield started
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [*process.children(recursive=True), process]
            for member in family:
                member.kill()
        process.wait()


@pytest.fixture
async def platform(
    start_service: StartService,
    token_for: TokenFor,
    connect: Connect,
    schedulers: list[psutil.Popen],
    postgres_url: str,
    redis_url: str,
    auth_key_file: Path,
    blobs_dir: Path,
    tmp_path: Path,
) -> AsyncIterator[Platform]:
    """The platform with two schedulers. The platform's own calls go to the second, which outlives the first."""

    async def start(addresses: Mapping[str, str]) -> str:
        for name in ("first", "second"):
            settings = {
                "port": "0",
                "admin_port": "0",
                "database_url": postgres_url,
                "redis_url": redis_url,
                "auth_key_file": str(auth_key_file),
                "blobs_url": blobs_dir.as_uri(),
                "training_dir": str(tmp_path / name),
                "lease_s": "2",
                "poll_s": "0.5",
                "stop_grace_s": "1",
                "grace_s": "1",
                **addresses,
            }
            environment = {f"HEADWATER_{key.upper()}": value for key, value in settings.items()}
            schedulers.append(
                psutil.Popen(
                    [sys.executable, "-m", "services.training_scheduler"],
                    cwd=ROOT,
                    env={**os.environ, **environment},
                    stdout=subprocess.DEVNULL,
                )
            )
        return await _address(schedulers[1])

    async with start_platform(start_service, token_for, connect, start) as platform:
        yield platform


async def _address(process: psutil.Popen) -> str:
    """Where a scheduler that was told port 0 answers gRPC."""
    raise NotImplementedError
