"""What follows when workers are gone."""

import dataclasses
from typing import Any

import pytest

from services.training_scheduler.attempts.verdict import End, Restart, judge
from services.training_scheduler.jobs.model import ResultFile, State, TrainingJob, TrainingResult
from tests.unit.training.jobs import job, spec

RESULT = TrainingResult((ResultFile("model.onnx", f"projects/default/artifacts/{'0' * 64}"),))


def running(**changes: Any) -> TrainingJob:
    return dataclasses.replace(job(spec=spec(max_restarts=2)), state=State.RUNNING, **changes)


def test_all_ended_well_with_a_result_is_success() -> None:
    assert judge(running(result=RESULT), succeeded=True, detail="", log="") == End(State.SUCCEEDED)


def test_a_job_that_registers_no_model_needs_no_result() -> None:
    job_without_model = running(spec=spec(model=""))
    assert judge(job_without_model, succeeded=True, detail="", log="") == End(State.SUCCEEDED)


def test_ended_well_without_the_model_that_was_asked_for_is_failure() -> None:
    end = judge(running(), succeeded=True, detail="", log="done\n")
    assert isinstance(end, End)
    assert end.outcome is State.FAILED
    assert end.failure is not None
    assert end.failure.reason == "NO_RESULT"
    assert "save_model" in end.failure.text


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_dead_worker_is_another_attempt(restarts: int) -> None:
    died = running(restart_count=restarts)
    assert isinstance(judge(died, succeeded=False, detail="Rank 1 died.", log=""), Restart)


def test_a_worker_that_dies_each_time_fails_the_job_with_the_end_of_its_log() -> None:
    end = judge(running(restart_count=2), succeeded=False, detail="Rank 1 died.", log="a\nValueError: no\n")
    assert isinstance(end, End)
    assert end.failure is not None
    assert end.failure.text == "Rank 1 died.\na\nValueError: no"


@pytest.mark.parametrize("succeeded", [True, False])
def test_who_asked_to_cancel_gets_that(succeeded: bool) -> None:
    end = judge(running(cancel_requested=True, result=RESULT), succeeded=succeeded, detail="stopped", log="")
    assert end == End(State.CANCELLED)
