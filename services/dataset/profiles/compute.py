"""From rows to what a profile says of them."""

import asyncio
import dataclasses

from chassis.filters.filter import Filter
from services.dataset.profiles.columns.tables import TableSummary, column_count
from services.dataset.profiles.limits import Limits, limits_for
from services.dataset.profiles.model import ProfileSubject, SplitProfile
from services.dataset.profiles.sources import Source, SplitSource, Window
from services.dataset.rows.get import project


@dataclasses.dataclass(slots=True)
class Progress:
    """How far a computation has come."""

    rows_done: int = 0


async def profile_of(subject: ProfileSubject, source: Source, progress: Progress) -> tuple[SplitProfile, ...]:
    """One pass over the rows, split by split.

    Whatever takes long runs in threads, a few megabytes of rows at a time: in Arrow and numpy, which let go of the
    interpreter's lock, so that calls are answered meanwhile. Cancelled, it ends within one window.

    Raises:
        ColumnNotFound, InvalidFilter
        DataLoss: stored rows are not what they were.
    """
    schemas = [project(split.schema, subject.columns) for split in source.splits]
    limits = limits_for(sum(column_count(schema) for schema in schemas))
    return tuple([await _split(subject, split, limits, progress) for split in source.splits])


async def _split(subject: ProfileSubject, split: SplitSource, limits: Limits, progress: Progress) -> SplitProfile:
    schema = project(split.schema, subject.columns)
    condition = Filter.parse(subject.filter, split.schema) if subject.filter else None
    needed = list(dict.fromkeys([*schema.names, *(condition.columns if condition else ())]))
    summary = TableSummary(schema, limits)
    row_count, size_bytes = 0, 0.0
    async for window in split.windows(needed, condition):
        if not window.row_count:
            continue
        kept = await asyncio.to_thread(_add, summary, window, condition)
        row_count += kept
        size_bytes += window.size_bytes * kept / window.row_count
        progress.rows_done += window.row_count
    columns = await asyncio.to_thread(summary.profiles)
    return SplitProfile(split.name, row_count, round(size_bytes), columns)


def _add(summary: TableSummary, window: Window, condition: Filter | None) -> int:
    """Add the window's rows that satisfy the condition; returns how many they are."""
    rows = condition.select(window.rows) if condition is not None else window.rows
    summary.add(rows)
    return int(rows.num_rows)
