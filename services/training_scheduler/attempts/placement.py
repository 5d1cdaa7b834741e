"""Which job runs next: decided from plain values, without waiting for anything."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Self

from services.training_scheduler.errors import LauncherNotConfigured, ResourcesImpossible
from services.training_scheduler.jobs.model import LauncherKind, State, TrainingJob, TrainingSpec


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """What a launcher has, or what a job needs of it."""

    workers: int
    cpus: float
    memory_bytes: int
    gpus: int

    @classmethod
    def needed_by(cls, spec: TrainingSpec) -> Self:
        """What all workers of a job need together."""
        count, each = spec.worker_count, spec.resources
        return cls(count, count * each.cpus, count * each.memory_bytes, count * each.gpus)

    def covers(self, need: "Capacity") -> bool:
        """Whether ``need`` fits."""
        return not self.shortages(need)

    def shortages(self, need: "Capacity") -> list[str]:
        """The names of what ``need`` has too much of."""
        names = (field.name for field in dataclasses.fields(self))
        return [name for name in names if getattr(need, name) > getattr(self, name)]

    def __sub__(self, need: "Capacity") -> "Capacity":
        return Capacity(
            self.workers - need.workers,
            self.cpus - need.cpus,
            self.memory_bytes - need.memory_bytes,
            self.gpus - need.gpus,
        )


def check_possible(spec: TrainingSpec, capacities: Mapping[LauncherKind, Capacity]) -> None:
    """Return if the job could run once everything else has ended.

    Raises:
        LauncherNotConfigured
        ResourcesImpossible: naming what there is too little of, and how much there is.
    """
    capacity = capacities.get(spec.launcher)
    if capacity is None:
        raise LauncherNotConfigured(f"This scheduler has no launcher {spec.launcher}.", launcher=spec.launcher)
    need = Capacity.needed_by(spec)
    for name in capacity.shortages(need):
        raise ResourcesImpossible(
            f"The job's workers need {getattr(need, name)} {name} together; the launcher {spec.launcher} has "
            f"{getattr(capacity, name)} in all.",
            field="spec.worker_count" if name == "workers" else f"spec.resources.{name}",
        )


def place(
    waiting: Sequence[TrainingJob], running: Sequence[TrainingJob], capacities: Mapping[LauncherKind, Capacity]
) -> list[TrainingJob]:
    """Those of ``waiting``, oldest first, that may start beside ``running``.

    On each launcher first come, first served: a job that does not fit yet holds back all later ones of its launcher, so
    that small jobs cannot starve a large one. A job whose workers will not start again needs no place.
    """
    free = dict(capacities)
    for job in running:
        if job.spec.launcher in free and job.state is not State.FINISHING:
            free[job.spec.launcher] -= Capacity.needed_by(job.spec)
    placed, full = [], set[LauncherKind]()
    for job in sorted(waiting, key=lambda job: job.sequence):
        launcher = job.spec.launcher
        if job.state is State.FINISHING or job.cancel_requested:
            placed.append(job)
        elif launcher not in free or launcher in full:
            continue
        elif free[launcher].covers(need := Capacity.needed_by(job.spec)):
            free[launcher] -= need
            placed.append(job)
        else:
            full.add(launcher)
    return placed
