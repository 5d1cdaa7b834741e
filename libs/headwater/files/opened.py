"""A table in an open file, whatever its format."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import pyarrow as pa

from headwater.files.walk import Found


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """A table in an open file."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    look: Callable[[Sequence[str]], Iterator[pa.RecordBatch]] | None = None
    """Batches with these columns only, where the format need not read the others."""
    size_bytes: int | None = None
    """About how many bytes the rows have, where the file says it."""


Opener = Callable[[Found, pa.Schema | None], AbstractContextManager[Opened]]
"""Opens a file, with the types that columns shall have where the file does not say.

An opener raises OSError, what Arrow raises, or SourceMalformed.
"""
