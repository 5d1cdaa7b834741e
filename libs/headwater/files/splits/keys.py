"""Numbers that stand for rows when they are split: a hash of a value, or a shuffled row number.

docs/reference/splits.md says how to compute both.
"""

import dataclasses
import hashlib
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.files.errors import InvalidSplitBy
from headwater.files.splits.rule import check_column
from headwater.tree import RowHasher

NUMBER_BITS = 40
"""Room for 10^12 rows."""
_MASK = np.uint64(2**NUMBER_BITS - 1)
_SHIFT = np.uint64(NUMBER_BITS // 2)


@dataclasses.dataclass(frozen=True, slots=True)
class ValueKeys:
    """The first 8 bytes of SHA-256(u64 seed ‖ d), big-endian, where d is the digest of a row of the column alone."""

    column: str
    seed: int

    @property
    def columns(self) -> Collection[str]:
        """The one."""
        return (self.column,)

    def of(self, rows: pa.RecordBatch, first_row: int) -> npt.NDArray[np.uint64]:
        """See Keys. Equal values have equal keys, whatever their type's layout."""
        digests, places = value_digests(rows, self.column)
        prefix = self.seed.to_bytes(8, "little")
        hashed = b"".join([hashlib.sha256(prefix + digest).digest()[:8] for digest in digests])
        keys: npt.NDArray[np.uint64] = np.frombuffer(hashed, ">u8").astype(np.uint64)[places]
        return keys


def value_digests(rows: pa.RecordBatch, column: str) -> tuple[list[bytes], npt.NDArray[np.intp]]:
    """The digests of the values that a column has, and for each row which of them it has."""
    check_column(rows, column)
    values = rows.column(column)
    places = np.arange(rows.num_rows)
    if pa.types.is_string(values.type) or pa.types.is_integer(values.type):
        # Most often the same few values come again and again, and hashing is what takes time.
        coded = values.dictionary_encode(null_encoding="encode")
        values, places = coded.dictionary, coded.indices.to_numpy().astype(np.intp)
    alone = pa.record_batch([values], names=[column])
    try:
        hashed = b"".join(piece.digests for piece in RowHasher(alone.schema).hash(alone))
    except pa.ArrowNotImplementedError as error:
        raise InvalidSplitBy(f"Rows cannot be split by the column {column}: {error}", column=column) from error
    return [hashed[at : at + 32] for at in range(0, len(hashed), 32)], places


@dataclasses.dataclass(frozen=True, slots=True)
class NumberKeys:
    """Row numbers, shuffled: a permutation of the numbers below 2^40, so that no two rows have one key."""

    seed: int

    @property
    def columns(self) -> Collection[str]:
        """None: a row's place is all that counts."""
        return ()

    def of(self, rows: pa.RecordBatch, first_row: int) -> npt.NDArray[np.uint64]:
        """See Keys."""
        return shuffled(first_row, rows.num_rows, self.seed)


def shuffled(first: int, count: int, seed: int) -> npt.NDArray[np.uint64]:
    """The keys of ``count`` consecutive row numbers, each below 2^40."""
    constants = np.frombuffer(hashlib.sha256(b"headwater.split/1" + seed.to_bytes(8, "little")).digest(), "<u8")
    keys = np.arange(first, first + count, dtype=np.uint64)
    keys += constants[0] & _MASK
    keys &= _MASK
    # Each step can be undone, and so can all of them together: multiplying by an odd number, and adding the upper half
    # of the bits to the lower half without carrying.
    for constant in constants[1:]:
        keys ^= keys >> _SHIFT
        keys *= constant | np.uint64(1)
        keys &= _MASK
    keys ^= keys >> _SHIFT
    return keys
