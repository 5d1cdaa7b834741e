"""Which rows of a split satisfy a condition: one bit a row, from the columns that the condition looks at."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chassis.filters import Filter
from services.dataset.model import Chunk
from services.dataset.rows.get import WINDOW_PACKS
from services.dataset.rows.layout import ROW_NUMBER
from services.dataset.rows.mapped import MappedPack, MappedPacks
from services.dataset.rows.statistics import parse
from services.dataset.rows.writer import Run


@dataclasses.dataclass(frozen=True, slots=True)
class Matching:
    """The rows that satisfy a condition."""

    row_counts: tuple[int, ...]
    """Rows of each chunk."""
    counts: tuple[int, ...]
    """Those of them that satisfy it."""
    bits: tuple[bytes, ...]
    """Which they are, packed eight to a byte; empty where all or none are."""

    def mask(self, chunk: int) -> npt.NDArray[np.bool_]:
        """Which rows of a chunk satisfy it."""
        rows = self.row_counts[chunk]
        if not self.bits[chunk]:
            return np.full(rows, self.counts[chunk] == rows)
        return np.unpackbits(np.frombuffer(self.bits[chunk], np.uint8), count=rows).astype(np.bool_)

    @property
    def weight(self) -> int:
        """About how many bytes it takes."""
        return 100 + 64 * len(self.counts) + sum(map(len, self.bits))


def matching_rows(chunks: Sequence[Chunk], condition: Filter, packs: MappedPacks, run: Run[Any]) -> Matching:
    """Look at every chunk (with statistics) that may hold such rows. For a thread other than the event loop's.

    Raises:
        InvalidFilter: the condition cannot be computed for a row.
        DataLoss
    """
    counts, bits = [0] * len(chunks), [b""] * len(chunks)
    window: list[int] = []
    names: set[str] = set()
    for number, chunk in enumerate(chunks):
        if not condition.may_match(parse(chunk.statistics)):
            continue
        if chunk.placement.pack not in names and len(names) == WINDOW_PACKS:
            _look(window, chunks, condition, run(packs.open(sorted(names))), counts, bits)
            window, names = [], set()
        window.append(number)
        names.add(chunk.placement.pack)
    _look(window, chunks, condition, run(packs.open(sorted(names))), counts, bits)
    return Matching(tuple(chunk.row_count for chunk in chunks), tuple(counts), tuple(bits))


def _look(
    window: Sequence[int],
    chunks: Sequence[Chunk],
    condition: Filter,
    opened: dict[str, MappedPack],
    counts: list[int],
    bits: list[bytes],
) -> None:
    for number in window:
        chunk = chunks[number]
        rows = opened[chunk.placement.pack].rows(chunk.placement.block, chunk.placement.block_row, chunk.row_count)
        table = pa.Table.from_batches([rows.select(list(condition.columns))])
        if not condition.columns:  # a condition that looks at no column is the same for every row
            table = pa.table({ROW_NUMBER: np.arange(chunk.row_count)})
        else:
            table = table.append_column(ROW_NUMBER, pa.array(np.arange(chunk.row_count)))
        found = condition.select(table).column(ROW_NUMBER).to_numpy()
        counts[number] = len(found)
        if 0 < len(found) < chunk.row_count:
            mask = np.zeros(chunk.row_count, np.bool_)
            mask[found] = True
            bits[number] = np.packbits(mask).tobytes()
