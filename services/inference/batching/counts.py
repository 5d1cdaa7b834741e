"""What the engines of a batcher have done."""

import dataclasses
from collections.abc import Iterable

_MAX_SIZES = 4096  # a caller chooses the rows of a request, so there must be an end


@dataclasses.dataclass(slots=True)
class BatchCounts:
    """Of one engine, or of several together. Written by one engine's thread alone; reading it at any time is safe."""

    batches: int = 0
    rows: int = 0
    engine_s: float = 0.0
    queue_s: float = 0.0
    by_rows: dict[int, tuple[int, float]] = dataclasses.field(default_factory=dict)
    """How many batches had this many rows, and the engine's seconds for them. Of sizes beyond the first few thousand
    that came, only the sums above are kept."""

    def add(self, rows: int, engine_s: float, queue_s: float) -> None:
        """Count one batch."""
        self.batches += 1
        self.rows += rows
        self.engine_s += engine_s
        self.queue_s += queue_s
        known = self.by_rows.get(rows)
        if known is not None or len(self.by_rows) < _MAX_SIZES:
            count, seconds = known or (0, 0.0)
            self.by_rows[rows] = count + 1, seconds + engine_s

    @classmethod
    def sum(cls, parts: Iterable["BatchCounts"]) -> "BatchCounts":
        """All of them together."""
        total = cls()
        for part in parts:
            total.batches += part.batches
            total.rows += part.rows
            total.engine_s += part.engine_s
            total.queue_s += part.queue_s
            for rows, (count, seconds) in part.by_rows.copy().items():
                before_count, before_s = total.by_rows.get(rows, (0, 0.0))
                total.by_rows[rows] = before_count + count, before_s + seconds
        return total
