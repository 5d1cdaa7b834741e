"""What every launcher promises; tests/contract/chassis/test_launchers.py holds each of them to it."""

import dataclasses
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Generic, Protocol, TypeVar

from chassis.launchers.spec import GangSpec
from headwater.errors import FailedPrecondition, ResourceExhausted

Item = TypeVar("Item")
Value = TypeVar("Value")

MAX_KILLS = 3
"""An item of a map that has killed its worker this often is set aside."""


class DoesNotFit(ResourceExhausted):
    """More is asked for than there is, or than there is left of GPUs."""

    reason = "DOES_NOT_FIT"
    text = "There are not enough resources for this."


class WorkerKilled(FailedPrecondition):
    """Working on this item killed the worker process each time, so the item was set aside."""

    reason = "WORKER_KILLED"
    text = "Working on this item killed the worker process each time."


@dataclasses.dataclass(frozen=True, slots=True)
class GangResult:
    """How a gang ended."""

    succeeded: bool
    detail: str = ""
    """One sentence for people: which rank failed and how; empty when it succeeded."""


def describe_exit(who: str, code: int) -> str:
    """How a process ended, in one sentence; a negative ``code`` is the signal that killed it."""
    return f"{who} was killed by {signal.Signals(-code).name}." if code < 0 else f"{who} exited with code {code}."


class Gang(Protocol):
    """A started gang."""

    @property
    def pids(self) -> tuple[int, ...]:
        """The gang's processes that run now, as their own hosts count them."""

    async def wait(self) -> GangResult:
        """Return when the gang has ended: all succeeded, restarts are used up, or it was stopped. None is left then."""

    async def stop(self, grace_s: float = 10.0) -> None:
        """SIGTERM to every process, after ``grace_s`` SIGKILL; returns when none is left. It counts as a failure."""


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
        """Start a gang; returns when it is on its way.

        Raises:
            DoesNotFit: not on this launcher, or (GPUs) not now.
            InvalidGang: the working directory does not exist.
        """

    def map(
        self, function: Callable[[Item], Value], items: Iterable[Item], *, workers: int
    ) -> AsyncIterator[MapResult[Value]]:
        """``function`` of every item, ``workers`` at a time in other processes; the results in the order of the items.

        ``function`` must be importable by name, items and values picklable. ``items`` is read at most ``2 * workers``
        ahead of the consumer. An item whose function raises is set aside at once, with that error, and one that kills
        its worker ``MAX_KILLS`` times with WorkerKilled; the others go on.
        """

    async def close(self) -> None:
        """Stop every gang that runs and release what is held."""
