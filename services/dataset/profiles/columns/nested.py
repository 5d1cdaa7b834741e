"""Lists, maps and structs; and columns that are all null."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.dataset.profiles.columns.summary import Presence, Summary
from services.dataset.profiles.limits import Limits
from services.dataset.profiles.model import ColumnProfile
from services.dataset.profiles.numbers import NumberSummary

_is = pa.types
Make = Callable[[str, Any], Summary]


class ListColumn:
    """Lists and maps: their lengths, and their elements as a column of its own."""

    def __init__(self, column: str, kind: Any, limits: Limits, make: Make) -> None:
        self._presence = Presence(column, kind)
        self._lengths = NumberSummary(limits.sketch_size, limits.bins)
        self._as_list = pa.list_(element_type(kind)) if _is.is_map(kind) else None
        self._elements = make(f"{column}[]", element_type(kind))

    def add(self, values: pa.ChunkedArray) -> None:
        """See Summary."""
        present = self._presence.add(values)
        if self._as_list is not None:
            present = pa.chunked_array([_pairs(chunk) for chunk in present.chunks], self._as_list)
        self._lengths.add(np.sort(pc.list_value_length(present).to_numpy()).astype(np.float64))
        self._elements.add(pc.list_flatten(present))

    def profiles(self) -> Iterator[ColumnProfile]:
        """See Summary."""
        yield self._presence.profile(lengths=self._lengths.result(whole=True))
        yield from self._elements.profiles()


class StructColumn:
    """Structs: each field as a column of its own, null where the struct is."""

    def __init__(self, column: str, kind: Any, make: Make) -> None:
        self._presence = Presence(column, kind)
        self._fields: Sequence[Summary] = [make(f"{column}.{field.name}", field.type) for field in kind]

    def add(self, values: pa.ChunkedArray) -> None:
        """See Summary."""
        self._presence.add(values)
        for summary, field in zip(self._fields, values.flatten(), strict=True):
            summary.add(field)

    def profiles(self) -> Iterator[ColumnProfile]:
        """See Summary."""
        yield self._presence.profile()
        for summary in self._fields:
            yield from summary.profiles()


class NullColumn:
    """Nothing but nulls."""

    def __init__(self, column: str, kind: pa.DataType) -> None:
        self._presence = Presence(column, kind)

    def add(self, values: pa.ChunkedArray) -> None:
        """See Summary."""
        self._presence.add(values)

    def profiles(self) -> Iterator[ColumnProfile]:
        """See Summary."""
        yield self._presence.profile()


def element_type(kind: Any) -> Any:
    """What a list or a map has in it."""
    return pa.struct([kind.key_field, kind.item_field]) if _is.is_map(kind) else kind.value_type


def _pairs(maps: pa.MapArray) -> pa.ListArray:
    entries = pa.StructArray.from_arrays([maps.keys, maps.items], fields=[maps.type.key_field, maps.type.item_field])
    return pa.ListArray.from_arrays(maps.offsets, entries)
