"""How much is kept of each column: less where there are many, so that a profile stays within bounds.

About 40 MB are in use for a table of 100 columns and 250 MB for one of 10,000; what a profile says stays below a few
megabytes, and can be sent in one message.
"""

import dataclasses

_MAX_SKETCH = 2048
_MIN_SKETCH = 256
_SKETCHES = 1 << 17
_MAX_COUNTED = 1024
_MIN_COUNTED = 64
_COUNTED = 1 << 17
_MAX_LISTED = 256
_MIN_LISTED = 8
_LISTED = 1 << 14
_MAX_BINS = 32
_MIN_BINS = 8
_BINS = 1 << 14

MANY_VALUES = 20
"""Of a column of many distinct values, at most so many are listed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """For each column of a table."""

    sketch_size: int
    """Numbers on each level of a quantile sketch: its error is about 1 / 2 ** 8 of rank or less."""
    counted_values: int
    """Values that are counted; as long as there are not more, their counts are exact."""
    listed_values: int
    """Columns with at most so many distinct values show them all."""
    bins: int
    """Of each histogram."""


def limits_for(column_count: int) -> Limits:
    """The limits for a profile of so many columns, those of all splits counted."""
    each = max(1, column_count)
    return Limits(
        sketch_size=_within(_SKETCHES // each, _MIN_SKETCH, _MAX_SKETCH),
        counted_values=_within(_COUNTED // each, _MIN_COUNTED, _MAX_COUNTED),
        listed_values=_within(_LISTED // each, _MIN_LISTED, _MAX_LISTED),
        bins=_within(_BINS // each, _MIN_BINS, _MAX_BINS),
    )


def _within(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)
