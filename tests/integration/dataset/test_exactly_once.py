"""N-09: killed readers, and other numbers of them, see the undisturbed sequence: no row is missed, none comes twice."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headwater import datasets
from headwater.client import Connection
from headwater.torch import FlightDataset
from tests.integration.dataset.reading import Group, Reader, read

ROWS = 3_000
BATCH = 64
EPOCHS = 3
SEQUENCES: list[dict[str, Any]] = [
    {"shuffle_seed": None},
    {"shuffle_seed": 5},
    {"shuffle_seed": 6, "filter": "label <> 4", "drop_last": True},
]


def table() -> pa.Table:
    text = pa.array(["x" * (row % 97) for row in range(ROWS)])
    return pa.table({"row": np.arange(ROWS), "label": np.arange(ROWS) % 7, "text": text})


@pytest.fixture
async def version(connection: Connection) -> str:
    """A version with the table as its split train."""
    pushed = await asyncio.to_thread(datasets.push, connection, "d", datasets.Tables({"train": table()}))
    return pushed.version.name


def undisturbed(connection: Connection, version: str, options: dict[str, Any]) -> dict[tuple[int, int], list[int]]:
    """The global batches that one reader sees which nobody kills, by epoch and the row that they end at."""
    dataset = FlightDataset(connection, version, "train", rank=0, world_size=1, **options)
    seen = {}
    while (epoch := dataset.epoch) < EPOCHS:
        for batch in dataset:
            seen[epoch, dataset.state_dict()["row"]] = batch["row"].tolist()
    return seen


def parts_in(log: Path) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """What a reader wrote down; the last line is whole, or the process died in it."""
    for line in log.read_text().splitlines(keepends=True) if log.exists() else ():
        if line.endswith("\n"):
            epoch, row, rows = json.loads(line)
            yield (epoch, row), rows


def run_group(readers: list[Reader], die_after: int | None, victim: int) -> dict[str, Any] | None:
    """Let a group read; kill it when one of it has read so many parts. The state to go on from; None: it was done."""
    group = Group(read, readers)
    if die_after is None:
        assert group.join() == [0] * len(readers)
        return None
    group.kill_when(lambda: len(list(parts_in(readers[victim].log))) >= die_after)
    saved = [reader.checkpoint for reader in readers if reader.checkpoint.exists()]
    states: list[dict[str, Any]] = [json.loads(checkpoint.read_text()) for checkpoint in saved]
    assert states, "the victim had saved one"
    if len(states) < len(readers):  # one was killed before its first step, so the group has made none
        return readers[0].state or states[0] | {"epoch": 0, "row": 0}
    return min(states, key=lambda state: (state["epoch"], state["row"]))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("sequence", SEQUENCES, ids=["in order", "shuffled", "filtered and shuffled"])
async def test_readers_that_are_killed_and_change_in_number_see_the_one_sequence(
    connection: Connection, version: str, tmp_path: Path, sequence: dict[str, Any]
) -> None:
    """What counts of a killed group is what all of it had come to: the state that their checkpoint would hold."""

    def story() -> None:
        options = {"global_batch_size": BATCH, "columns": ["row"], **sequence}
        wanted = undisturbed(connection, version, options)
        check_epochs(wanted, options)
        choose = random.Random(repr(sequence))
        seen: dict[tuple[int, int], list[int]] = {}
        state: dict[str, Any] | None = None
        for generation, world_size in enumerate([4, 2, 3, 2]):
            directory = tmp_path / str(generation)
            directory.mkdir()
            endpoints, token = connection.endpoints, connection.token
            readers = [
                Reader(endpoints, token, version, options, rank, world_size, EPOCHS, state, directory)
                for rank in range(world_size)
            ]
            die_after = None if generation == 3 else choose.randint(3, len(wanted) // 4)
            state = run_group(readers, die_after, choose.randrange(world_size))
            parts = [dict(parts_in(reader.log)) for reader in readers]
            for key in sorted(set.intersection(*(set(part) for part in parts))):
                if state is None or key <= (state["epoch"], state["row"]):
                    assert key not in seen, "no batch comes twice"
                    seen[key] = list(itertools.chain.from_iterable(part[key] for part in parts))
        assert seen == wanted

    await asyncio.to_thread(story)


def check_epochs(batches: dict[tuple[int, int], list[int]], options: dict[str, Any]) -> None:
    """Each epoch has each row once, or, with ``drop_last``, all but those that fill no batch."""
    expected = {row for row in range(ROWS) if "filter" not in options or row % 7 != 4}
    count = len(expected) - len(expected) % BATCH if options.get("drop_last") else len(expected)
    for epoch in range(EPOCHS):
        rows = [row for (of, _), batch in batches.items() if of == epoch for row in batch]
        assert len(rows) == len(set(rows)) == count
        assert set(rows) <= expected
