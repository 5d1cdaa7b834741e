"""headwater.torch against a running service."""

import asyncio
import gc
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from chassis.auth import Role
from chassis.service import Service
from headwater import datasets
from headwater.client import Connection
from headwater.errors import HeadwaterError, InvalidArgument
from headwater.torch import EpochNotSet, FlightDataset, FlightLoader, StateDiffers, StateInWorkers
from tests.integration.dataset.conftest import ConnectTo

ROWS = 5_000
BATCH = 96
SEED = 11
# Torch's warning that there are more workers than cores.
MANY_WORKERS = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def table(rows: int = ROWS) -> pa.Table:
    values = np.random.default_rng(1).random((rows, 32), np.float32)
    image = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 32)
    fields = [
        pa.field("row", pa.int64()),
        pa.field("image", image.type, metadata={"headwater.shape": "[1, 4, 8]"}),
        pa.field("label", pa.string()),
    ]
    columns = [pa.array(np.arange(rows)), image, pa.array([str(row % 10) for row in range(rows)])]
    return pa.table(columns, schema=pa.schema(fields))


@pytest.fixture
async def version(connection: Connection) -> str:
    """A version with the table as its split train."""
    pushed = await asyncio.to_thread(datasets.push, connection, "d", datasets.Tables({"train": table()}))
    return pushed.version.name


@pytest.fixture
def dataset(connection: Connection, version: str) -> Callable[..., FlightDataset]:
    """A function that makes a shuffled dataset of it."""

    def make(**options: Any) -> FlightDataset:
        values = {"global_batch_size": BATCH, "shuffle_seed": SEED, "rank": 0, "world_size": 1, **options}
        return FlightDataset(connection, version, "train", **values)

    return make


def assert_refused(loader: DataLoader[Any], error: type[Exception], said: str) -> None:
    """Reading raises the error in the workers."""
    batches = iter(loader)
    with pytest.raises(error, match=said):
        next(batches)
    # The error holds on to the batches. If both were garbage together, the queues would be gone before the workers
    # are told to end, and whichever thread collects it would wait ten seconds: that of the service too.
    gc.collect()


def rows_in(batches: Any) -> list[list[int]]:
    return [batch["row"].tolist() for batch in batches]


async def test_batches_are_tensors_in_the_shapes_of_their_columns(
    dataset: Callable[..., FlightDataset], connection: Connection, version: str
) -> None:
    def story() -> None:
        made = dataset(shuffle_seed=None)
        assert len(made) == 53
        batches = list(made)
        assert batches[0]["image"].shape == (BATCH, 1, 4, 8)
        assert batches[-1]["image"].shape == (ROWS % BATCH, 1, 4, 8)
        assert torch.equal(torch.cat([batch["row"] for batch in batches]), torch.arange(ROWS))
        assert {batch[name].data_ptr() % 64 for batch in batches for name in ("row", "image")} == {0}
        whole = datasets.reader(connection, version, "train").read_all()
        wanted = whole["image"].combine_chunks().flatten().to_numpy().reshape(ROWS, 1, 4, 8)
        assert np.array_equal(torch.cat([batch["image"] for batch in batches]).numpy(), wanted)
        assert list(itertools.chain.from_iterable(batch["label"] for batch in batches)) == whole["label"].to_pylist()

    await asyncio.to_thread(story)


async def test_each_epoch_has_its_own_order_of_the_same_rows(dataset: Callable[..., FlightDataset]) -> None:
    def story() -> None:
        made = dataset()
        epochs = []
        for epoch in range(3):
            assert made.epoch == epoch
            epochs.append(list(itertools.chain.from_iterable(rows_in(made))))
        assert all(sorted(rows) == list(range(ROWS)) for rows in epochs)
        assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
        made.set_epoch(1)
        assert list(itertools.chain.from_iterable(rows_in(made))) == epochs[1]
        assert list(itertools.chain.from_iterable(rows_in(dataset(shuffle_seed=SEED + 1)))) != epochs[0]

    await asyncio.to_thread(story)


@MANY_WORKERS
async def test_readers_and_their_workers_share_one_sequence(dataset: Callable[..., FlightDataset]) -> None:
    """The parts of a batch, put together, are the batch that a lone reader gets; the last, smaller one too."""

    def story() -> None:
        alone = rows_in(dataset())
        for world_size, workers in ((3, 0), (5, 0), (2, 2), (1, 3)):
            readers = [dataset(rank=rank, world_size=world_size) for rank in range(world_size)]
            parts = [rows_in(FlightLoader(reader, num_workers=workers)) for reader in readers]
            assert [list(itertools.chain(*pieces)) for pieces in zip(*parts, strict=True)] == alone

    await asyncio.to_thread(story)


@MANY_WORKERS
async def test_a_state_counts_what_was_handed_out_and_nothing_that_was_read_ahead(
    dataset: Callable[..., FlightDataset],
) -> None:
    """With workers and without; it goes on with another number of either."""

    def story() -> None:
        alone = rows_in(dataset())
        states = []
        for workers in (0, 2):
            loader = FlightLoader(dataset(), num_workers=workers)
            batches = iter(loader)
            for number in range(7):
                assert next(batches)["row"].tolist() == alone[number]
            states.append(json.loads(json.dumps(loader.state_dict())))
        assert states[0] == states[1]
        assert (states[0]["epoch"], states[0]["row"]) == (0, 7 * BATCH)
        for workers in (0, 3):
            resumed = FlightLoader(dataset(), num_workers=workers)
            resumed.load_state_dict(states[0])
            assert resumed.state_dict() == states[0], "loading and saving changes nothing"
            assert rows_in(resumed) == alone[7:]
            assert rows_in(resumed)[0] != alone[0], "and then comes the next epoch, whole"
            assert resumed.state_dict()["epoch"] == 2

    await asyncio.to_thread(story)


async def test_workers_that_persist_or_are_spawned_see_the_same(dataset: Callable[..., FlightDataset]) -> None:
    def story() -> None:
        made = dataset()
        wanted = [rows_in(made) for _ in range(3)]
        loader = FlightLoader(dataset(), num_workers=2, persistent_workers=True, multiprocessing_context="spawn")
        loader.load_state_dict(made.state_dict() | {"epoch": 0, "row": 5 * BATCH})
        assert rows_in(loader) == wanted[0][5:]
        # https://github.com/huggingface/datasets/issues/7447: the epochs after a resumed one are whole.
        assert rows_in(loader) == wanted[1]
        made.set_epoch(2)
        assert rows_in(loader) == wanted[2]

    await asyncio.to_thread(story)


class Stateful(IterableDataset[Any]):
    """A dataset that workers ask for its state after each batch, as torchdata's StatefulDataLoader does."""

    def __init__(self, inner: FlightDataset, states: dict[int, dict[str, Any]] | None = None) -> None:
        self._inner = inner
        self._states = states

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        assert worker is not None
        if self._states is not None:
            self._inner.load_state_dict(self._states[worker.id])
        for batch in self._inner:
            yield worker.id, batch["row"].tolist(), self._inner.state_dict()


async def test_each_worker_goes_on_from_its_own_state(dataset: Callable[..., FlightDataset]) -> None:
    def story() -> None:
        alone = rows_in(dataset())
        states, count = {}, 0
        for worker, rows, state in DataLoader(Stateful(dataset()), batch_size=None, num_workers=2):
            assert rows == alone[count]
            states[worker], count = state, count + 1
            if count == 8:
                break
        resumed = DataLoader(Stateful(dataset(), states), batch_size=None, num_workers=2)
        assert [rows for _, rows, _ in resumed] == alone[8:]
        with pytest.raises(StateDiffers, match="one worker"):
            dataset().load_state_dict(states[0])
        changed_places = Stateful(dataset(), {0: states[1], 1: states[0]})
        assert_refused(DataLoader(changed_places, batch_size=None, num_workers=2), StateDiffers, "one worker")

    await asyncio.to_thread(story)


async def test_a_pass_that_is_left_is_begun_again(dataset: Callable[..., FlightDataset]) -> None:
    """A look at the first batch takes no row out of the epoch."""

    def story() -> None:
        for workers in (0, 2):
            loader = FlightLoader(dataset(), num_workers=workers)
            first = next(iter(loader))["row"].tolist()
            assert rows_in(loader)[0] == first

    await asyncio.to_thread(story)


async def test_torchs_own_loader_reads_it_and_says_what_it_cannot_know(dataset: Callable[..., FlightDataset]) -> None:
    def story() -> None:
        alone = rows_in(dataset())
        made = dataset()
        batches = iter(DataLoader(made, batch_size=None))
        assert next(batches)["row"].tolist() == alone[0]
        assert made.state_dict()["row"] == BATCH
        made = dataset()
        state = made.state_dict() | {"row": 2 * BATCH}
        made.load_state_dict(state)
        loader = DataLoader(made, batch_size=None, num_workers=2)
        assert rows_in(loader) == alone[2:]
        with pytest.raises(StateInWorkers, match="FlightLoader"):
            made.state_dict()
        assert_refused(loader, EpochNotSet, "set_epoch")
        made.set_epoch(1)
        assert made.state_dict()["epoch"] == 1
        assert sorted(itertools.chain.from_iterable(rows_in(loader))) == list(range(ROWS))

    await asyncio.to_thread(story)


async def test_only_rows_that_satisfy_the_filter_come_and_make_full_batches(
    dataset: Callable[..., FlightDataset],
) -> None:
    def story() -> None:
        for shuffle_seed in (None, SEED):
            options = {"filter": "label = '3' OR row < 100", "columns": ["row"], "shuffle_seed": shuffle_seed}
            wanted = [row for row in range(ROWS) if row % 10 == 3 or row < 100]
            alone = rows_in(dataset(**options))
            assert sorted(itertools.chain.from_iterable(alone)) == wanted
            assert {len(batch) for batch in alone[:-1]} == {BATCH}
            assert len(dataset(**options)) == len(alone)
            dropping = dataset(**options, drop_last=True)
            assert rows_in(dropping) == alone[:-1]
            parts = [rows_in(dataset(**options, rank=rank, world_size=2)) for rank in range(2)]
            assert [left + right for left, right in zip(*parts, strict=True)] == alone
            resumed = dataset(**options)
            resumed.load_state_dict(resumed.state_dict() | {"row": 3 * BATCH})
            assert rows_in(resumed) == alone[3:]

    await asyncio.to_thread(story)


async def test_decode_makes_what_is_handed_out(dataset: Callable[..., FlightDataset]) -> None:
    def story() -> None:
        def decode(rows: pa.Table) -> list[str]:
            return [f"{row}:{label}" for row, label in zip(*rows.to_pydict().values(), strict=True)]

        made = list(dataset(columns=["row", "label"], shuffle_seed=None, decode=decode))
        assert list(itertools.chain.from_iterable(made)) == [f"{row}:{row % 10}" for row in range(ROWS)]

    await asyncio.to_thread(story)


async def test_memory_is_pinned_where_there_is_cuda_and_else_left(dataset: Callable[..., FlightDataset]) -> None:
    def story() -> None:
        made = dataset(pin_memory=True)
        batch = next(iter(made))
        assert made.pins_memory == torch.cuda.is_available()
        assert batch["image"].is_pinned() == batch["row"].is_pinned() == torch.cuda.is_available()

    await asyncio.to_thread(story)


REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("SPLIT_NOT_FOUND", {"split": "nope"}),
    ("DATASET_VERSION_NOT_FOUND", {"version": "d@v9.0.0"}),
    ("DATASET_NOT_FOUND", {"version": "nope"}),
    ("COLUMN_NOT_FOUND", {"columns": ["nope"]}),
    ("TOO_FEW_ROWS", {"global_batch_size": 2, "world_size": 3}),
    ("INVALID_ARGUMENT", {"rank": 3, "world_size": 3}),
    ("INVALID_ARGUMENT", {"rank": None}),
]


async def test_what_is_not_there_is_said_before_anything_is_read(connection: Connection, version: str) -> None:
    def story() -> None:
        for reason, options in REFUSALS:
            values: dict[str, Any] = {"version": version, "split": "train", "global_batch_size": BATCH, "rank": 0}
            values |= {"world_size": 1, **options}
            with pytest.raises(HeadwaterError) as refusal:
                FlightDataset(connection, **values)
            assert refusal.value.reason == reason

    await asyncio.to_thread(story)


async def test_the_state_of_other_batches_is_refused_by_what_differs(dataset: Callable[..., FlightDataset]) -> None:
    def story() -> None:
        made = dataset()
        state = made.state_dict()
        for name, value in {"global_batch_size": 32, "shuffle_seed": None, "filter": "row = 1", "split": "x"}.items():
            with pytest.raises(StateDiffers, match=name):
                made.load_state_dict(state | {name: value})
        for garbage in ({}, {"format": "other/1"}, {**state, "worker": 0, "worker_count": 2}, {**state, "row": 5}):
            with pytest.raises(InvalidArgument):
                made.load_state_dict(garbage)
        for epoch in (-1, 1 << 63, 1 << 70):
            with pytest.raises(StateDiffers, match=f"epoch {epoch}"):
                made.load_state_dict(state | {"epoch": epoch})
            with pytest.raises(InvalidArgument, match="An epoch is"):
                made.set_epoch(epoch)
        made.load_state_dict(state | {"epoch": (1 << 63) - 2})
        assert len(list(made)) == len(made)
        made.load_state_dict(state)
        assert made.state_dict() == state

    await asyncio.to_thread(story)


@pytest.mark.parametrize("seed", [-1, 1 << 64, 1.5, "7"])
async def test_a_seed_that_chooses_no_order_is_refused(
    dataset: Callable[..., FlightDataset], connection: Connection, version: str, seed: Any
) -> None:
    def story() -> None:
        with pytest.raises(InvalidArgument, match="order's seed is a whole number"):
            dataset(shuffle_seed=seed)
        with pytest.raises(InvalidArgument, match="order's epoch is a whole number"):
            datasets.reader(connection, version, "train", shuffle=(0, seed))

    await asyncio.to_thread(story)


async def test_a_resumed_training_keeps_its_version_when_the_dataset_has_moved_on(connection: Connection) -> None:
    """Named without a version it means the latest; the state knows which that was."""

    def story() -> None:
        small = table(200)
        first = datasets.push(connection, "moving", datasets.Tables({"train": small})).version.name

        def make(version: str = "moving") -> FlightDataset:
            return FlightDataset(connection, version, "train", global_batch_size=50, rank=0, world_size=1)

        begun = make()
        next(iter(begun))
        state = begun.state_dict() | {"row": 50}
        assert state["version"] == first
        second = datasets.push(connection, "moving", datasets.Tables({"train": table(300)})).version.name
        resumed = make()
        assert resumed.version == second
        resumed.load_state_dict(state)
        assert resumed.version == first
        assert list(itertools.chain.from_iterable(rows_in(resumed))) == list(range(50, 200))
        with pytest.raises(StateDiffers, match="version"):
            make(second).load_state_dict(state)

    await asyncio.to_thread(story)


async def test_who_may_only_read_can_train(version: str, service: Service, connection_to: ConnectTo) -> None:
    def story() -> None:
        reading = connection_to(service, Role.READER)
        made = FlightDataset(reading, version, "train", global_batch_size=BATCH, rank=0, world_size=1)
        assert len(list(made)) == len(made)

    await asyncio.to_thread(story)
