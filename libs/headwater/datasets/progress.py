"""How far a push has come, how fast it is, and how long it will take."""

import dataclasses
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a push has come."""

    split: str
    """The split that is being pushed."""
    rows: int
    """Rows of all splits that are done: sent, or found to be there already."""
    size_bytes: int
    """Bytes of those rows in Arrow's format."""
    sent_bytes: int = 0
    """Bytes among them that were sent."""
    total_bytes: int | None = None
    """About how many bytes all rows have, so that more may come in the end; None where nothing tells beforehand."""
    elapsed_s: float = 0.0
    """Since the push began."""

    @property
    def bytes_per_s(self) -> float:
        """The rate so far, of rows sent or found."""
        return self.size_bytes / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest will take at this rate; None where that cannot be told."""
        if not self.total_bytes or not self.size_bytes:
            return None
        return max(0.0, (self.total_bytes - self.size_bytes) / self.bytes_per_s)


class Meter:
    """Counts what is done and tells it. ``now`` gives seconds."""

    def __init__(
        self,
        tell: Callable[[Progress], None] | None,
        total_bytes: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._now = now
        self._begun = now()
        self._progress = Progress("", 0, 0, total_bytes=total_bytes)

    def done(self, split: str, rows: int, size_bytes: int, sent_bytes: int) -> None:
        """Count more rows of a split."""
        before = self._progress
        self._progress = dataclasses.replace(
            before,
            split=split,
            rows=before.rows + rows,
            size_bytes=before.size_bytes + size_bytes,
            sent_bytes=before.sent_bytes + sent_bytes,
            elapsed_s=self._now() - self._begun,
        )
        if self._tell is not None:
            self._tell(self._progress)
