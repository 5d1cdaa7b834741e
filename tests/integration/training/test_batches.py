"""N-09 in a job: the batches of a session go on from its checkpoint, in mid-epoch."""

import asyncio
from typing import Any

import pytest

from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from headwater.torch import FlightDataset
from headwater.training.v1 import jobs_pb2
from tests.integration.training.conftest import Folder
from tests.integration.training.platform import Platform

EPOCHS, BATCH, SEED = 3, 6, 4
# 64 rows are 11 batches, the last of 4 rows; a worker is killed after step 15, in the second epoch, and the checkpoint
# is of step 12.
SCRIPT = f"""
import os, signal
import torch
from torch import distributed
import headwater.training

with headwater.training.session() as session:
    distributed.init_process_group("gloo")
    model, step = torch.nn.Linear(16, 1), 0
    data = session.batches("train", global_batch_size={BATCH}, shuffle_seed={SEED})
    restored = session.load_checkpoint(model)
    checks = session.batches("validation", global_batch_size=64, filter="label = '1'")
    if restored:
        step = restored.step
        assert (data.epoch, data.state_dict()["row"]) == (1, 6), data.state_dict()
        assert checks.epoch == 1
    while data.epoch < {EPOCHS}:
        for batch in data:
            total = batch["tensor"].double().sum()
            distributed.all_reduce(total)
            step += 1
            session.log_metrics({{"sum": total.item()}}, step=step)
            session.report_progress(epoch=data.epoch, epoch_count={EPOCHS}, step=step)
            if step == 11:
                assert sum(len(batch["label"]) for batch in checks) == 16
            if step % 4 == 0:
                session.save_checkpoint(model, epoch=data.epoch, step=step)
            if not restored and step == 15 and session.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
    session.save_checkpoint(model, epoch=data.epoch, step=step)
    distributed.destroy_process_group()
"""


@pytest.mark.timeout(240)
async def test_a_job_that_is_killed_in_mid_epoch_goes_on_with_the_next_row(platform: Platform, folder: Folder) -> None:
    def undisturbed() -> list[float]:
        data = FlightDataset(
            platform.connection,
            platform.dataset_version,
            "train",
            global_batch_size=BATCH,
            shuffle_seed=SEED,
            rank=0,
            world_size=1,
        )
        return [batch["tensor"].double().sum().item() for _ in range(EPOCHS) for batch in data]

    code = await platform.upload(folder(SCRIPT))
    job = await platform.end((await platform.submit(code, worker_count=2, max_restarts=1)).name, timeout_s=200)
    assert job.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, job.failure
    assert job.attempt_count == 2
    assert (job.checkpoint.epoch, job.checkpoint.step) == (3, 33)
    runs: Any = runs_pb2_grpc.RunServiceStub(platform.channels["registry"])
    page = await runs.ListMetricPoints(runs_pb2.ListMetricPointsRequest(name=job.run, key="sum", page_size=1000))
    sums: dict[int, set[float]] = {}
    for point in page.points:
        sums.setdefault(point.step, set()).add(round(point.value, 9))
    wanted = await asyncio.to_thread(undisturbed)
    assert sums == {step: {round(value, 9)} for step, value in enumerate(wanted, 1)}
    assert len({round(value, 9) for value in wanted}) == len(wanted), "each batch has a sum of its own"
