"""Where the rows of a profile come from, as a Protocol."""

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pyarrow as pa

from chassis.filters.filter import Filter
from headwater.names import DatasetVersionName
from services.dataset.profiles.model import ProfileSubject


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Consecutive rows of a split, or what is left of them."""

    rows: pa.Table
    row_count: int
    """Rows that were there, with those that are left out because none of them can satisfy the condition."""
    size_bytes: int
    """Their canonical bytes, as near as that is known."""


class SplitSource(Protocol):
    """One split."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        ...

    def windows(self, columns: Sequence[str], condition: Filter | None) -> AsyncIterator[Window]:
        """All rows in order, a few megabytes at a time; of stored rows, the same ones each time.

        Rows that do not satisfy the condition may be among them.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """The rows of one subject."""

    splits: Sequence[SplitSource]
    """By name."""
    fingerprint: str
    """As ``Sources.fingerprint``, of the moment when it was opened."""


class Sources(Protocol):
    """Finds the rows of subjects."""

    def open(self, subject: ProfileSubject) -> AbstractAsyncContextManager[Source]:
        """The rows of a subject, for the time of the block.

        Raises:
            HeadwaterError: there are none, or they cannot be reached.
        """
        ...

    async def fingerprint(self, version: DatasetVersionName) -> str | None:
        """What tells whether the rows that readers of the version get are still the same (M-23).

        Empty for rows that never change; None where nobody can tell.
        """
        ...
