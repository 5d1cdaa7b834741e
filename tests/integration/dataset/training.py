"""A training of several processes on one dataset, which can be killed at any point and goes on from its checkpoint."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from headwater.client import Connection, Endpoints


@dataclasses.dataclass(frozen=True)
class Trainer:
    """One process of a group."""

    endpoints: Endpoints
    token: str
    version: str
    options: dict[str, Any]
    rank: int
    world_size: int
    epochs: int
    directory: Path
    meeting_point: Path
    """A file by which the group finds each other."""

    @property
    def checkpoint(self) -> Path:
        """Model, optimizer and data, as they were after some step."""
        return self.directory / "checkpoint.safetensors"

    @property
    def log(self) -> Path:
        """A line for each step: its number and the loss over the global batch."""
        return self.directory / "losses"


def train(trainer: Trainer) -> None:
    """Train to the end, from the checkpoint if there is one; save one every third step."""
    import torch
    from torch import distributed

    from headwater.torch import FlightDataset
    from headwater.training import checkpoint

    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", f"file://{trainer.meeting_point}", rank=trainer.rank, world_size=trainer.world_size
    )
    torch.manual_seed(0)
    # In double precision, so that the sums of another number of parts differ by next to nothing.
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    step = 0
    with Connection(trainer.endpoints, trainer.token) as connection, trainer.log.open("a") as log:
        # Which reader of how many: torch.distributed tells.
        data = FlightDataset(connection, trainer.version, "train", **trainer.options)
        if trainer.checkpoint.exists():
            saved = checkpoint.load(trainer.checkpoint)
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            data.load_state_dict(saved["data"])
            step = saved["step"]
        while data.epoch < trainer.epochs:
            for batch in data:
                optimizer.zero_grad()
                # The sum over the part, so that the sum over all parts is that over the batch, however it was cut.
                loss = torch.nn.functional.mse_loss(model(batch["x"]).squeeze(1), batch["y"], reduction="sum")
                loss.backward()  # type: ignore[no-untyped-call]
                sums = [torch.tensor([loss.item(), len(batch["y"])], dtype=torch.float64)]
                sums += [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
                for tensor in sums:
                    distributed.all_reduce(tensor)
                total, count = sums[0].tolist()
                for gradient in sums[1:]:
                    gradient /= count
                optimizer.step()
                step += 1
                if trainer.rank == 0:
                    log.write(json.dumps([step, total / count]) + "\n")
                    log.flush()
                    if step % 3 == 0:
                        state = {
                            "model": dict(model.state_dict()),
                            "optimizer": optimizer.state_dict(),
                            "data": data.state_dict(),
                            "step": step,
                        }
                        checkpoint.save(state, trainer.checkpoint.with_suffix(".new"))
                        os.replace(trainer.checkpoint.with_suffix(".new"), trainer.checkpoint)
    distributed.destroy_process_group()
