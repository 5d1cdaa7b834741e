"""The main job, from scanned digits to a traced prediction, on a stack of its own; one worker is killed on the way."""

import contextlib
import time
from typing import Any

import psutil
import pytest

from deploy.demo.job import OBJECTIVE, MainJob, Outcome
from deploy.demo.shell import Shell
from headwater.client import Connection
from headwater.preprocessing.v1 import jobs_pb2 as preprocessing_pb2
from headwater.preprocessing.v1 import jobs_pb2_grpc as preprocessing_pb2_grpc
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc


@pytest.fixture(scope="module")
def outcome(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the main job found out."""
    shell = Shell(stack.home, lambda line: print(line, flush=True))

    def kill_a_worker(job: str) -> None:
        _wait_for_a_checkpoint(stack.connection, job)
        _workers_of(job)[0].kill()

    # Other tests on this stack may have prepared the same rows.
    cache = preprocessing_pb2_grpc.CacheServiceStub(stack.connection.channel("preprocessing"))
    cache.ClearCache(preprocessing_pb2.ClearCacheRequest())
    return MainJob(shell, tmp_path_factory.mktemp("digits"), "e2e", kill_a_worker).run()


def _wait_for_a_checkpoint(connection: Connection, job: str) -> None:
    stub = jobs_pb2_grpc.TrainingJobServiceStub(connection.channel("training"))
    deadline = time.monotonic() + 120
    while not stub.GetTrainingJob(jobs_pb2.GetTrainingJobRequest(name=job)).checkpoint.digest:
        assert time.monotonic() < deadline, "no checkpoint was saved"
        time.sleep(0.1)


def _workers_of(job: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get("HEADWATER_JOB") == job and "LOCAL_RANK" in environment:
                found.append(process)
    return found


# The whole job runs within the first test that asks for its outcome.
pytestmark = pytest.mark.timeout(300)


def test_every_scan_became_a_row(outcome: Outcome) -> None:
    assert outcome.rows == 1797
    assert outcome.pushed["rows"] == "1,797"
    assert outcome.pushed["version"].endswith("/versions/v1.0.0")


def test_pushing_again_changes_nothing(outcome: Outcome) -> None:
    assert outcome.pushed_again["digest"] == outcome.pushed["digest"]
    assert outcome.pushed_again["result"].startswith("nothing changed")


def test_the_same_rows_from_parquet_have_the_same_digest(outcome: Outcome) -> None:
    """N-11."""
    assert outcome.parquet_digest == outcome.pushed["digest"]


def test_the_second_preparation_comes_from_the_cache(outcome: Outcome) -> None:
    assert outcome.prepared["cache"].startswith("0 of ")
    done, _, total, *_ = outcome.prepared_again["cache"].split()
    assert done == total
    assert outcome.prepared_again["version"] == outcome.prepared["version"]


def test_a_model_below_its_objective_is_refused_with_the_criterion(outcome: Outcome) -> None:
    """P-18."""
    assert "OBJECTIVE_NOT_MET" in outcome.refusal
    assert f"test/accuracy of at least {OBJECTIVE}" in " ".join(outcome.refusal.split())


def test_training_goes_on_after_a_worker_was_killed(outcome: Outcome) -> None:
    """P-34."""
    assert outcome.trained["state"] == "succeeded"
    assert int(outcome.trained["attempts"]) >= 2


def test_the_registry_read_the_model_from_its_bytes(outcome: Outcome) -> None:
    """R-15, R-16, R-24."""
    assert int(outcome.model["parameters"].replace(",", "")) > 10_000
    assert outcome.model["inputs"] == "image FP32[-1, 1, 16, 16]"
    assert outcome.model["data"] == outcome.prepared["version"]
    assert outcome.model["pipelines"].endswith("/pipelines/digits-prep/versions/1.0.0")


def test_the_model_reaches_its_objective(outcome: Outcome) -> None:
    metrics = dict(item.split() for item in outcome.model["metrics"].split(", "))
    assert float(metrics["test/accuracy"]) >= OBJECTIVE


def test_a_stock_client_gets_the_right_digit(outcome: Outcome) -> None:
    assert outcome.answer.digit == outcome.expected_digit
    assert "image FP32" in outcome.served


def test_requests_in_flight_are_batched_and_all_are_right(outcome: Outcome) -> None:
    assert len(outcome.at_once) == 200
    assert [answer.digit for answer in outcome.at_once] == [answer.digit for answer in outcome.single]
    assert outcome.accuracy >= OBJECTIVE - 0.03
    assert outcome.largest_batch > 1
    assert len({answer.request_id for answer in outcome.at_once}) == 200


def test_the_trace_leads_to_the_files(outcome: Outcome) -> None:
    """M-81: request → model version → run → dataset versions → pipeline → files, each with its digest."""
    for link in (
        outcome.answer.request_id,
        outcome.model["version"],
        outcome.model["run"],
        outcome.prepared["version"],
        outcome.prepared["digest"],
        outcome.pushed["version"],
        outcome.pushed["digest"],
        "/pipelines/digits-prep/versions/1.0.0",
        "test/0/",
        "1,794 more files",
    ):
        assert link in outcome.trace
        assert link in outcome.trace_page or "more files" in link


def test_the_page_has_a_picture_of_the_graph(outcome: Outcome) -> None:
    assert "<svg" in outcome.trace_page
    assert outcome.trace_page.count("<rect") >= 8
