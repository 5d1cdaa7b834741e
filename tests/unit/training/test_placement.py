"""Which job runs next."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training_scheduler.attempts.placement import Capacity, check_possible, place
from services.training_scheduler.errors import LauncherNotConfigured, ResourcesImpossible
from services.training_scheduler.jobs.model import LauncherKind, Resources, State, TrainingJob
from tests.unit.training.jobs import job, spec

LOCAL = {LauncherKind.LOCAL: Capacity(workers=4, cpus=4, memory_bytes=1000, gpus=1)}


def of_workers(number: int, workers: int) -> TrainingJob:
    return job(number, spec=spec(worker_count=workers))


def numbers(jobs: list[TrainingJob]) -> list[int]:
    return [job.sequence for job in jobs]


def test_the_oldest_go_first_as_long_as_there_is_room() -> None:
    assert numbers(place([of_workers(3, 2), of_workers(1, 2), of_workers(2, 2)], [], LOCAL)) == [1, 2]


def test_a_large_job_is_not_overtaken_by_small_ones() -> None:
    assert numbers(place([of_workers(2, 4), of_workers(3, 1)], [of_workers(1, 1)], LOCAL)) == []


def test_a_full_launcher_does_not_hold_up_another() -> None:
    ray = job(3, spec=spec(launcher=LauncherKind.RAY))
    capacities = LOCAL | {LauncherKind.RAY: Capacity(2, math.inf, 2**62, 2**62)}
    assert numbers(place([of_workers(2, 4), ray], [of_workers(1, 1)], capacities)) == [3]


def test_jobs_of_a_launcher_that_this_scheduler_lacks_are_left_to_others() -> None:
    assert place([job(spec=spec(launcher=LauncherKind.RAY))], [], LOCAL) == []


def test_what_only_has_to_be_written_down_needs_no_room() -> None:
    full = [of_workers(1, 4)]
    finishing = job(3, state=State.FINISHING, outcome=State.SUCCEEDED)
    cancelled = job(4, state=State.RUNNING, cancel_requested=True)
    assert numbers(place([of_workers(2, 1), finishing, cancelled], full, LOCAL)) == [3, 4]


def test_a_job_whose_workers_are_done_gives_its_room_back() -> None:
    done = job(1, spec=spec(worker_count=4), state=State.FINISHING)
    assert numbers(place([of_workers(2, 4)], [done], LOCAL)) == [2]


@given(st.lists(st.tuples(st.integers(1, 6), st.floats(0, 6), st.integers(0, 2)), max_size=12))
def test_what_is_placed_always_fits_together(demands: list[tuple[int, float, int]]) -> None:
    waiting = [
        job(number, spec=spec(worker_count=workers, resources=Resources(cpus, 0, gpus)))
        for number, (workers, cpus, gpus) in enumerate(demands)
    ]
    placed = place(waiting, [], LOCAL)
    needs = [Capacity.needed_by(job.spec) for job in placed]
    assert sum(need.workers for need in needs) <= 4
    assert sum(need.cpus for need in needs) <= 4 + 1e-9
    assert sum(need.gpus for need in needs) <= 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"worker_count": 5}, "spec.worker_count"),
        ({"worker_count": 1, "resources": Resources(cpus=1e12)}, "spec.resources.cpus"),
        ({"worker_count": 2, "resources": Resources(memory_bytes=501)}, "spec.resources.memory_bytes"),
        ({"worker_count": 2, "resources": Resources(gpus=1)}, "spec.resources.gpus"),
    ],
)
def test_what_can_never_fit_is_refused_and_the_field_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ResourcesImpossible) as refused:
        check_possible(spec(**changes), LOCAL)
    assert refused.value.metadata["field"] == field


def test_a_launcher_that_is_not_there_is_named() -> None:
    with pytest.raises(LauncherNotConfigured, match="ray"):
        check_possible(spec(launcher=LauncherKind.RAY), LOCAL)


def test_what_fits_exactly_is_possible() -> None:
    check_possible(spec(worker_count=4, resources=Resources(cpus=1, memory_bytes=250)), LOCAL)
