"""A split of a dataset version as the batches of a training, which go on where a checkpoint left them."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import torch
from torch.utils.data import IterableDataset, get_worker_info

from headwater.client import Connection
from headwater.datasets.batches import LAST_EPOCH, Batches, Cursor, Share, TooFewRows
from headwater.datasets.prefetch import Prefetched
from headwater.datasets.sources import ServiceSource, describe, pin
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT
from headwater.patience import patiently
from headwater.torch.position import Position, SharedToken
from headwater.torch.ranks import rank_and_world_size
from headwater.torch.tensors import pinned, to_tensors

FORMAT: Final = "headwater.flight-dataset/1"
_SEQUENCE = ("version", "split", "filter", "view", "checkpoint", "shuffle_seed", "global_batch_size", "drop_last")
"""What a state must have in common with the dataset that loads it: the same rows in the same batches."""


class StateDiffers(InvalidArgument):
    """The state is of another sequence of batches."""

    reason = "STATE_DIFFERS"


class FlightDataset(IterableDataset[Any]):
    """Batches of rows by Arrow Flight, in an order that depends on nothing but the rows, the seed and the epoch.

        dataset = FlightDataset(connection, "digits", "train", global_batch_size=256, shuffle_seed=0)
        loader = FlightLoader(dataset, num_workers=2)
        for epoch in range(dataset.epoch, 10):
            for batch in loader:                       # {"image": Tensor [N, 1, 28, 28], "label": [...]}
                ...
                torch.save({"data": loader.state_dict(), ...}, path)

    Each of ``world_size`` readers gets its part of every global batch: of 256 rows, one of four gets 64. The sequence
    of global batches is the same for any number of readers and workers, so a state that one group saved, in mid-epoch
    too, another group of any size goes on from: no row is missed and none comes twice. Every reader of a group has the
    same state; saving that of one is enough.

    Iterate it as it is, in a ``FlightLoader``, or in torch's ``DataLoader(dataset, batch_size=None)``. A pass that has
    come to its end lets the next one be of the next epoch; one that was left earlier is begun again. With workers in
    torch's own DataLoader, ``set_epoch`` must be called before each pass, and the state is not known.

    A stream that breaks is taken up again where it broke. Errors are those of ``headwater.errors``.
    """

    def __init__(
        self,
        connection: Connection,
        version: str,
        split: str = "",
        *,
        global_batch_size: int,
        columns: Sequence[str] = (),
        filter: str = "",  # noqa: A002 - as it is called everywhere
        view: str = "",
        checkpoint: str = "",
        shuffle_seed: int | None = None,
        drop_last: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
        decode: Callable[[pa.Table], Any] | None = None,
        pin_memory: bool = False,
        prefetch_bytes: int = 64 << 20,
        patience_s: float = 60.0,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        """Look up how many rows there are and of which columns.

        Args:
            version: a resource name or a reference, or a split's address, which says ``split`` too; it is looked up
                once, and the rows stay those of that version.
            global_batch_size: rows of a batch of all readers together.
            columns: in this order; none means all.
            filter: only rows that satisfy this condition (docs/reference/filters.md).
            view: only rows of this view of the version.
            checkpoint: the copy that this checkpoint of the version holds.
            shuffle_seed: a new order in each epoch; None: the rows' own in all.
            drop_last: leave out the rows that do not fill a last batch. Otherwise the last batch is smaller, and a
                reader's part of it may be empty.
            rank, world_size: which reader of how many this is. Without them what torch.distributed says, or what
                RANK and WORLD_SIZE in the environment say, or the only one.
            decode: makes what is handed out of a reader's rows; without it ``to_tensors``. It is called where the
                batches are wanted, in order: in the worker, if there are any.
            pin_memory: let batches lie in page-locked memory. Without CUDA, and in workers, it does nothing; for
                workers there is the loader's own ``pin_memory``.
            prefetch_bytes: how much a thread reads ahead, in this process or in each worker.
            patience_s: how long a service that is away is waited for.

        Raises:
            NotFound, InvalidArgument: there is no such version, split, column or view; the filter or the seed is wrong.
            TooFewRows: a batch has fewer rows than there are readers.
        """
        super().__init__()
        self._token = SharedToken(lambda: connection.token)
        self._source = ServiceSource(connection, self._token)
        self._decode = decode
        self._prefetch_bytes = prefetch_bytes
        self._patience_s = patience_s
        self._pins_memory = pin_memory and torch.cuda.is_available()
        self._position = Position()
        self._share = Share(*rank_and_world_size(rank, world_size))
        if global_batch_size < self._share.count:
            raise TooFewRows(f"{self._share.count} readers cannot share a batch of {global_batch_size} rows.")
        pinned_version = pin(connection, version, split, project=project)
        self._is_moving = pinned_version.is_moving
        self._batches = self._described(
            Batches(
                version=pinned_version.name,
                split=pinned_version.split,
                global_batch_size=global_batch_size,
                columns=tuple(columns),
                filter=filter,
                view=view,
                checkpoint=checkpoint,
                shuffle_seed=shuffle_seed,
                drop_last=drop_last,
            )
        )

    @property
    def version(self) -> str:
        """The resource name of what is read: a version, or a commit."""
        return self._batches.version

    @property
    def row_count(self) -> int:
        """Rows of an epoch, before ``drop_last``."""
        return self._batches.row_count

    @property
    def epoch(self) -> int:
        """The epoch that the next pass is of."""
        return self._position.start.epoch

    @property
    def pins_memory(self) -> bool:
        """Whether batches come in page-locked memory: it was asked for, and there is CUDA."""
        return self._pins_memory

    def __len__(self) -> int:
        """Batches of a whole epoch, the same for every reader."""
        return self._batches.count

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be of this epoch: where a state that was loaded says, if that is of it, else from row 0.

        Raises:
            InvalidArgument: no epoch has this number.
        """
        if not 0 <= epoch <= LAST_EPOCH:
            raise InvalidArgument(f"An epoch is a number from 0 to {LAST_EPOCH}.", field="epoch")
        start = self._position.start
        self._token.publish()
        self._position.move(start if start.epoch == epoch else Cursor(epoch))

    def state_dict(self) -> dict[str, Any]:
        """What to go on from: plain data, a few hundred bytes, the same for all readers.

        It counts what was handed out. In a worker it is that worker's own, for torchdata's StatefulDataLoader.

        Raises:
            StateInWorkers: torch's own DataLoader reads with workers.
        """
        worker, state = get_worker_info(), self._state(self._position.now)
        return state if worker is None else state | {"worker": worker.id, "worker_count": worker.num_workers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where the state was taken, by whatever number of readers.

        A dataset that was named without a version, or by a branch or tag, goes on with the version of the state.

        Raises:
            StateDiffers: naming what differs.
        """
        self._check(state)
        batches = self._batches
        if state["version"] != batches.version:
            batches = self._described(dataclasses.replace(batches, version=state["version"]))
        cursor = Cursor(state.get("epoch", -1), state.get("row", -1))
        if not batches.has(cursor):
            raise StateDiffers(f"There is no batch that ends at row {cursor.row} of epoch {cursor.epoch}.")
        self._batches = batches
        self._position.move(cursor)

    def counted(self, start_workers: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        """Hand out the batches of workers in order, counting them; what FlightLoader does."""
        self._token.publish()
        start = self._position.begin_for_workers()
        return self._counting(start, start_workers())

    def _counting(self, start: Cursor, values: Iterable[Any]) -> Generator[Any, None, None]:
        for batch, value in enumerate(values, self._batches.next_after(start)):
            self._token.publish()
            self._position.reached(self._batches.after(start.epoch, batch, self._share))
            yield value
        self._position.ended()

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        lane, lane_count = (worker.id, worker.num_workers) if worker else (0, 1)
        share = dataclasses.replace(self._share, lane=lane, lane_count=lane_count)
        # Now, not when the first batch is wanted: until then the start may have been moved for the next pass.
        return self._pass(self._position.begin(), share)

    def _pass(self, start: Cursor, share: Share) -> Generator[Any, None, None]:
        parts = self._batches.read(self._source, start, share, patience_s=self._patience_s)
        # What comes as tensors is made ready ahead. What the caller makes of rows is not: it may draw random numbers,
        # and whoever resumes wants the same ones.
        prepare = self._ready if self._decode is None else lambda rows: rows
        ahead = ((part.batch, prepare(part.rows), part.rows.nbytes) for part in parts)
        with contextlib.closing(Prefetched(ahead, lambda item: item[2], self._prefetch_bytes)) as prefetched:
            for batch, prepared, _ in prefetched:
                value = prepared if self._decode is None else self._ready(prepared)
                self._position.reached(self._batches.after(start.epoch, batch, share))
                yield value
        self._position.ended()

    def _ready(self, rows: pa.Table) -> Any:
        value = (self._decode or to_tensors)(rows)
        # A worker's tensors are copied on their way; its loader pins them in the process that trains.
        return pinned(value) if self._pins_memory and get_worker_info() is None else value

    def _described(self, batches: Batches) -> Batches:
        info = patiently(lambda: describe(self._source.connection, batches.command(0)), self._patience_s)
        self.schema: pa.Schema = info.schema
        return dataclasses.replace(batches, row_count=info.row_count)

    def _state(self, cursor: Cursor) -> dict[str, Any]:
        sequence = {name: getattr(self._batches, name) for name in _SEQUENCE}
        return {"format": FORMAT, **sequence, "epoch": cursor.epoch, "row": cursor.row}

    def _check(self, state: Mapping[str, Any]) -> None:
        worker = get_worker_info()
        if state.get("format") != FORMAT:
            raise StateDiffers(f"This is not a state of the format {FORMAT}.")
        own = self._state(Cursor())
        differing = [name for name in _SEQUENCE if state.get(name) != own[name]]
        if worker is None and self._is_moving and _dataset_of(str(state.get("version"))) == _dataset_of(self.version):
            differing = [name for name in differing if name != "version"]
        if differing:
            wanted = ", ".join(f"{name} is {own[name]!r} here and {state.get(name)!r} there" for name in differing)
            raise StateDiffers(f"The state is of other batches: {wanted}.")
        of_worker = (worker.id, worker.num_workers) if worker and "worker" in state else (None, None)
        if (state.get("worker"), state.get("worker_count")) != of_worker:
            raise StateDiffers("The state is that of one worker among others: only the same one can go on from it.")


def _dataset_of(name: str) -> str:
    return "/".join(name.split("/")[:4])
