"""What every launcher promises; tests/contract/chassis/test_launchers.py holds each of them to it."""

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True, slots=True)
class GangSpec:
    """A group of processes that start, fail and stop together and form one torch process group.

    Each process runs ``argv`` with RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT set.

    Raises:
        InvalidArgument: a resource or count is negative, not finite or absurd; ``argv`` is empty; NUL or a newline in a value.
    """

    argv: tuple[str, ...]
    """The argument vector; never a shell line."""
    processes: int = 1
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Added to a minimal environment (PATH, HOME, LANG, TMPDIR, PYTHONPATH); nothing else is inherited."""
    cwd: Path | None = None
    """The working directory; it must exist."""
    max_restarts: int = 0
    """How often the whole gang starts again after a process failed."""
    cpus: float = 1.0
    """CPU cores for each process."""
    memory_bytes: int = 0
    """Memory for each process; 0 asks for none in particular."""
    gpus: float = 0.0
    """GPUs for each process."""
    log: Path | None = None
    """Where standard output and error of all processes go; None discards them."""
    log_max_bytes: int = 64 * 2**20
    """The log never grows past this; what comes after is dropped, and the log says so."""


@dataclasses.dataclass(frozen=True, slots=True)
class GangResult:
    """How a gang ended."""

    succeeded: bool
    restarts: int
    detail: str
    """One sentence for people: which rank failed and how; empty when it succeeded."""


class Gang(Protocol):
    """A started gang."""

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the gang that run on this host, launchers included."""

    async def wait(self) -> GangResult:
        """Return when the gang has ended: all processes succeeded, restarts are used up, or it was stopped."""

    async def stop(self, grace_s: float = 10.0) -> None:
        """SIGTERM to every process, after ``grace_s`` SIGKILL; returns when none is left. A stopped gang has not succeeded."""


@dataclasses.dataclass(frozen=True, slots=True)
class MapResult(Generic[Value]):
    """What became of one item: a value, or the error for which the item was set aside."""

    index: int
    value: Value | None = None
    error: Exception | None = None

    def unwrap(self) -> Value:
        """The value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Launcher(Protocol):
    """Runs gangs and maps."""

    async def start(self, spec: GangSpec) -> Gang:
        """Start a gang; returns as soon as it is on its way.

        Raises:
            ResourceExhausted: the cluster can never fit it.
        """

    def map(
        self, function: Callable[[Item], Value], items: Iterable[Item], *, workers: int
    ) -> AsyncIterator[MapResult[Value]]:
        """``function`` of every item in other processes, ``workers`` at a time, results in the order of the items.

        ``function`` must be importable (a module-level function) and items and values picklable. ``items`` is read only
        ``2 * workers`` ahead of the consumer. An item whose function raises, or that kills its worker three times,
        is set aside: its result carries the error and the others go on.
        """

    async def close(self) -> None:
        """Stop what still runs and release the cluster."""
