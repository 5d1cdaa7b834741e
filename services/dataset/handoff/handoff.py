"""Which files hold the rows of a read. A file is verified before it is named, as it is before its rows are served."""

import dataclasses
from collections.abc import Sequence

import pyarrow as pa

from services.dataset.handoff.errors import OneShardOnly, RowsScattered
from services.dataset.reads import ReadRequest, Reads, Selection
from services.dataset.rows.get import ReadPlan, Slice
from services.dataset.rows.mapped import MappedPacks


@dataclasses.dataclass(frozen=True, slots=True)
class LocalFiles:
    """Files, and where in them the rows are."""

    schema: pa.Schema
    """The rows' own; the files may hold more columns."""
    paths: tuple[str, ...]
    rows: Sequence[tuple[int, Slice]]
    """In order, each with the number of its file."""
    warning: str = ""
    """What the reader should know; empty when there is nothing."""


class Handoff:
    """Names files. For one event loop."""

    def __init__(self, reads: Reads, packs: MappedPacks) -> None:
        self._reads = reads
        self._packs = packs

    async def requested(self, request: ReadRequest) -> LocalFiles:
        """The files that hold the rows of the one shard that is asked for.

        Raises:
            OneShardOnly
            What Reads.select and ``selected`` raise.
        """
        sharded = await self._reads.select(request)
        if len(sharded.shards) != 1:
            raise OneShardOnly
        return dataclasses.replace(await self.selected(sharded.shards[0]), warning=sharded.warning)

    async def selected(self, selection: Selection) -> LocalFiles:
        """The files that hold the selected rows.

        Raises:
            RowsScattered, DataLoss
            What Reads.plan raises.
        """
        plan = await self._reads.plan(selection)
        if not isinstance(plan, ReadPlan):
            raise RowsScattered
        paths = await self._packs.paths(slice_.pack for slice_ in plan.slices)
        numbers = {pack: number for number, pack in enumerate(paths)}
        rows = [(numbers[slice_.pack], slice_) for slice_ in plan.slices]
        return LocalFiles(plan.schema, tuple(map(str, paths.values())), rows)
