"""Groups of reader processes that die: each reads its part of a dataset's batches until it is done or killed.

The processes are forks of one that has imported torch and never used gRPC, so that starting one takes a moment.
"""

import dataclasses
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from headwater.client import Connection, Endpoints

_CONTEXT = multiprocessing.get_context("forkserver")
# torch._dynamo is what the first optimizer of a process imports, for seconds.
_PRELOADED = ["headwater.torch", "headwater.training.checkpoint", "torch._dynamo", "tests.integration.dataset.reading"]
_CONTEXT.set_forkserver_preload(_PRELOADED)


@dataclasses.dataclass(frozen=True)
class Reader:
    """What one process reads, and where it writes down what it got."""

    endpoints: Endpoints
    token: str
    version: str
    options: dict[str, Any]
    rank: int
    world_size: int
    epochs: int
    state: dict[str, Any] | None
    directory: Path

    @property
    def log(self) -> Path:
        """A line for each part: its epoch, the row that it is consumed up to, its rows."""
        return self.directory / f"rows-{self.rank}"

    @property
    def checkpoint(self) -> Path:
        """The state after the last part that is in the log."""
        return self.directory / f"state-{self.rank}"


def read(reader: Reader) -> None:
    """Read to the end of the last epoch."""
    from headwater.torch import FlightDataset

    with Connection(reader.endpoints, reader.token) as connection, reader.log.open("a") as log:
        dataset = FlightDataset(
            connection, reader.version, "train", rank=reader.rank, world_size=reader.world_size, **reader.options
        )
        if reader.state is not None:
            dataset.load_state_dict(reader.state)
        while (epoch := dataset.epoch) < reader.epochs:
            for batch in dataset:
                state = dataset.state_dict()
                log.write(json.dumps([epoch, state["row"], batch["row"].tolist()]) + "\n")
                log.flush()
                save(reader.checkpoint, state)


def save(path: Path, state: Any) -> None:
    """Replace a file as a whole."""
    path.with_suffix(".new").write_text(json.dumps(state))
    os.replace(path.with_suffix(".new"), path)


class Group:
    """Processes that run ``target(work)``, one for each piece of work."""

    def __init__(self, target: Callable[[Any], None], work: Sequence[Any]) -> None:
        self.processes: list[BaseProcess] = [_CONTEXT.Process(target=target, args=(piece,)) for piece in work]
        for process in self.processes:
            process.start()

    def kill_when(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """SIGKILL to all of them as soon as it holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline
            assert all(process.exitcode in (None, 0) for process in self.processes)
            time.sleep(0.002)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to all of them now."""
        for process in self.processes:
            process.kill()
        self.join()

    def join(self, timeout_s: float = 100.0) -> list[int | None]:
        """Wait for all; their exit codes."""
        deadline = time.monotonic() + timeout_s
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        return [process.exitcode for process in self.processes]
