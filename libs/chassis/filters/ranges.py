"""What is known of the values of a column without reading them."""

import dataclasses
from decimal import Decimal
from typing import TypeAlias

Value: TypeAlias = bool | int | float | Decimal | str | bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnRange:
    """What is known of one column in some rows."""

    minimum: Value | None
    """At most every value. Dates, times, timestamps and durations are the integer that Arrow keeps, in the unit of the
    column's type. None where it is not known, and where all values are null or NaN."""
    maximum: Value | None
    """At least every value, as ``minimum``."""
    null_count: int
    row_count: int
    nan_count: int = 0
    """NaNs, which the bounds say nothing of."""
