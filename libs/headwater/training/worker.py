"""The session: a training script's way to everything around it.

with headwater.training.session() as session:
    torch.distributed.init_process_group("gloo")
    model = DistributedDataParallel(Net())
    optimizer = torch.optim.Adam(model.parameters())
    restored = session.load_checkpoint(model, optimizer)
    train = session.batches("train", global_batch_size=256, shuffle_seed=0)
    for epoch in range(train.epoch, session.parameters["epochs"]):
        for batch in train:
            ...
        session.log_metrics({"train/loss": loss}, step=step)
        session.save_checkpoint(model, optimizer, epoch=epoch + 1, step=step)
    session.save_model(model, example={"image": batch["image"][:1]}, outputs=["logits"])
"""

import dataclasses
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from google.protobuf import struct_pb2

from headwater import artifacts
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.metric_log import MetricLog
from headwater.patience import patiently
from headwater.training import checkpoint as checkpoints
from headwater.training.environment import JobToken, Worker, connect
from headwater.training.scheduler import SchedulerLink, leave
from headwater.training.v1 import jobs_pb2

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from headwater.torch import FlightDataset
    from headwater.training.rows import Rows

Parameter = Any
"""None, bool, int, float, str, or lists and dicts of these."""


@dataclasses.dataclass(frozen=True, slots=True)
class Restored:
    """What a checkpoint said beside the states that it restored."""

    epoch: int
    """Epochs that were complete."""
    step: int
    """Optimizer steps that were done."""
    extra: Any


def session(environment: Mapping[str, str] | None = None) -> "Session":
    """The session of this worker; use it as a context manager.

    Raises:
        NotInJob: the script does not run in a training job.
    """
    environment = os.environ if environment is None else environment
    token = JobToken(environment.get("HEADWATER_TOKEN", ""))
    return Session(Worker.from_environment(environment), connect(environment, token), token)


class Session:
    """One worker of a running job. Every worker of the group makes the same calls; those that only one may make
    (metrics, progress, the model) do nothing on all but the first (rank 0).
    """

    def __init__(
        self, worker: Worker, connection: Connection, token: JobToken, *, on_stale: Callable[[], None] = leave
    ) -> None:
        self.rank = worker.rank
        """This worker's number, from 0."""
        self.world_size = worker.world_size
        """The number of workers."""
        self._worker = worker
        self._connection = connection
        self._scheduler = SchedulerLink(connection, token, worker, on_stale=on_stale)
        self._metrics: MetricLog | None = None
        self._stop_was_looked_at = False
        self._former_handler: Any = None
        self._streams: list[FlightDataset] = []
        self._stream_states: Sequence[Mapping[str, Any]] = ()

    def __enter__(self) -> Self:
        self._assignment = self._scheduler.assignment()
        self.parameters: dict[str, Parameter] = {
            key: _plain(value) for key, value in self._assignment.parameters.items()
        }
        """What the job was submitted with; whole numbers are ints."""
        if not self.rank:
            self._metrics = MetricLog(self._connection, self._assignment.run)
        if threading.current_thread() is threading.main_thread():
            self._former_handler = signal.signal(signal.SIGTERM, self._on_sigterm)
        self._scheduler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._former_handler is not None:
            signal.signal(signal.SIGTERM, self._former_handler)
        try:
            if self._metrics is not None:
                self._metrics.close()
            self._scheduler.close()
        except Exception:
            if error is None:  # the script's own error tells more than that its last metrics were lost with it
                raise
        finally:
            self._connection.close()

    @property
    def dataset_version(self) -> str:
        """The resource name of the dataset version that the job trains on."""
        return self._assignment.dataset_version

    @property
    def dataset_checkpoint(self) -> str:
        """The checkpoint of that version whose copy is read, the last segment of its name; empty: its own rows."""
        return self._assignment.dataset_checkpoint

    def dataset(self, split: str, *, columns: Sequence[str] = (), whole: bool = False) -> "Rows":
        """This worker's share of a split: a contiguous part, at most one row larger than any other worker's.

        Args:
            columns: only these, in this order; none means all.
            whole: all rows of the split instead.
        """
        from headwater.training.rows import Rows

        shard = (0, 1) if whole else (self.rank, self.world_size)
        return Rows(self._connection, self.dataset_version, self.dataset_checkpoint, split, columns, shard)

    def batches(
        self,
        split: str,
        *,
        global_batch_size: int,
        columns: Sequence[str] = (),
        filter: str = "",  # noqa: A002 - as it is called everywhere
        view: str = "",
        shuffle_seed: int | None = None,
        drop_last: bool = False,
        decode: "Callable[[pa.Table], Any] | None" = None,
        pin_memory: bool = False,
    ) -> "FlightDataset":
        """This worker's part of each batch of ``global_batch_size`` rows that all workers share.

        Iterate it, or a ``headwater.torch.FlightLoader`` of it. How far it is, is part of each checkpoint: after
        ``load_checkpoint`` the next attempt goes on with the row after the last one before the checkpoint, in mid-epoch
        too, and with any number of workers. An attempt must call this for the same splits in the same order.

        The parameters are those of ``headwater.torch.FlightDataset``.

        Raises:
            StateDiffers: the checkpoint was of other batches.
        """
        from headwater.torch import FlightDataset

        stream = FlightDataset(
            self._connection,
            self.dataset_version,
            split,
            global_batch_size=global_batch_size,
            columns=columns,
            filter=filter,
            view=view,
            checkpoint=self.dataset_checkpoint,
            shuffle_seed=shuffle_seed,
            drop_last=drop_last,
            rank=self.rank,
            world_size=self.world_size,
            decode=decode,
            pin_memory=pin_memory,
        )
        if len(self._streams) < len(self._stream_states):
            stream.load_state_dict(self._stream_states[len(self._streams)])
        self._streams.append(stream)
        return stream

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Record one value of each metric at an optimizer step; they reach the registry within about a second.

        Raises:
            HeadwaterError: the registry has refused metrics that were logged before.
        """
        if self._metrics is None:
            return
        values = {key: float(value) for key, value in metrics.items()}
        self._metrics.add(values, step)
        self._scheduler.progress(lambda progress: progress.metrics.update(values))

    def report_progress(self, *, epoch: int, epoch_count: int, step: int, step_count: int = 0) -> None:
        """Tell those who watch the job how far it is; epochs and steps that are done, of how many in all."""

        def change(progress: jobs_pb2.Progress) -> None:
            progress.epoch, progress.epoch_count = epoch, epoch_count
            progress.step, progress.step_count = step, step_count

        self._scheduler.progress(change)

    @property
    def should_stop(self) -> bool:
        """Whether the job is to end early: save a checkpoint and return.

        A script that looks gets a few seconds for that after SIGTERM; one that never looked ends at SIGTERM.
        """
        self._stop_was_looked_at = True
        return self._scheduler.stop_requested.is_set()

    def save_checkpoint(
        self,
        model: "torch.nn.Module",
        optimizer: "torch.optim.Optimizer | None" = None,
        *,
        epoch: int,
        step: int,
        extra: Any = None,
    ) -> None:
        """Save all that the training needs to go on from here as if it had never stopped.

        Every worker calls this: the random generators of each are saved, and how far ``batches`` are. When it returns
        on rank 0, the checkpoint is durable and the next attempt resumes from it. What was logged before is recorded,
        as far as the registry can be reached: the next attempt does not log it again.

        Args:
            epoch: epochs that are complete.
            step: optimizer steps that are done.
            extra: what else to remember: plain data and tensors, nested, such as a scheduler's ``state_dict()``.
        """
        random_states = _gathered(checkpoints.random_state())
        if self.rank:
            return
        if self._metrics is not None:
            self._metrics.offer()
        state = {
            "model": dict(_unwrapped(model).state_dict()),
            "optimizer": None if optimizer is None else optimizer.state_dict(),
            "random": random_states,
            "streams": [stream.state_dict() for stream in self._streams],
            "extra": extra,
        }
        with tempfile.TemporaryDirectory(prefix="headwater-") as directory:
            path = Path(directory) / "checkpoint.safetensors"
            checkpoints.save(state, path)
            self._scheduler.upload_checkpoint(path, epoch=epoch, step=step)

    def load_checkpoint(
        self, model: "torch.nn.Module", optimizer: "torch.optim.Optimizer | None" = None
    ) -> Restored | None:
        """Restore the newest checkpoint of an earlier attempt; None when this is the first. Every worker calls this."""
        if not self._assignment.HasField("checkpoint"):
            return None
        announced = self._assignment.checkpoint
        with tempfile.TemporaryDirectory(prefix="headwater-") as directory:
            path = Path(directory) / "checkpoint.safetensors"
            self._scheduler.download_checkpoint(announced, path)
            state = checkpoints.load(path)
        _unwrapped(model).load_state_dict(state["model"])
        if optimizer is not None and state["optimizer"] is not None:
            optimizer.load_state_dict(state["optimizer"])
        if self.rank < len(state["random"]):  # the group may be larger than it was
            checkpoints.set_random_state(state["random"][self.rank])
        # Checkpoints of earlier releases have none.
        self._stream_states = state.get("streams", ())
        for stream, saved in zip(self._streams, self._stream_states, strict=False):
            stream.load_state_dict(saved)
        return Restored(announced.epoch, announced.step, state["extra"])

    def save_model(
        self,
        model: "torch.nn.Module",
        *,
        example: "Mapping[str, torch.Tensor]",
        outputs: Sequence[str],
        architecture: str = "",
        properties: Mapping[str, str] | None = None,
        samples: "Mapping[str, torch.Tensor] | None" = None,
    ) -> None:
        """Hand in the trained model as safetensors and ONNX; it becomes a model version when all workers end well.

        Args:
            example: a tensor for each input by its name, of the type and, but for the batch, the shape that serving
                will see.
            outputs: the names of the outputs.
            architecture: for people, for example ``small-cnn``.
            properties: kept in the files' metadata, for example the names of the classes.
            samples: rows of the inputs, 64 at most, of which the version keeps what the model answers here; it is
                served only where it answers the same (docs/how-to/pin-preprocessing.md).
        """
        if self.rank:
            return
        import torch

        from headwater.training.export import export

        with tempfile.TemporaryDirectory(prefix="headwater-") as directory:
            files = export(
                _unwrapped(model),
                Path(directory),
                example=example,
                outputs=outputs,
                properties=properties or {},
                samples=samples,
            )
            result = jobs_pb2.TrainingResult(
                files=[self._upload(path, file) for path, file in files.items()],
                framework=artifact_pb2.Framework(name="pytorch", version=torch.__version__),
                architecture=architecture,
            )
        self._scheduler.report_result(result)

    def _upload(self, path: str, file: Path) -> jobs_pb2.ResultFile:
        artifact = patiently(lambda: artifacts.upload(self._connection, file, project=self._worker.job.project))
        return jobs_pb2.ResultFile(path=path, artifact=artifact.name)

    def _on_sigterm(self, number: int, _frame: FrameType | None) -> None:
        self._scheduler.stop_requested.set()
        if not self._stop_was_looked_at:
            signal.signal(number, self._former_handler)
            signal.raise_signal(number)


def _unwrapped(model: "torch.nn.Module") -> "torch.nn.Module":
    """The user's own module, without DistributedDataParallel around it."""
    import torch

    if isinstance(model, torch.nn.parallel.DistributedDataParallel):
        module: torch.nn.Module = model.module
        return module
    return model


def _gathered(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The states of all workers, by rank."""
    import torch

    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return [state]
    states: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(states, state)
    return states


def _plain(value: struct_pb2.Value) -> Parameter:
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "struct_value":
            return {key: _plain(item) for key, item in value.struct_value.fields.items()}
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
    return None
