"""Ground truth and feedback, joined to records whenever they come (M-85, M-86)."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format
from tritonclient.grpc import service_pb2_grpc

from chassis.ids import new_id
from chassis.testing.services import StartService, TokenFor
from headwater import inference_records
from headwater.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied
from headwater.inference.v1 import feedback_pb2, feedback_pb2_grpc
from headwater.names import InferenceRecordName, ProjectName
from tests.integration.inference.messages import floats, infer, tensor
from tests.integration.inference.recorded import Recorded, recorded
from tests.unit.inference.onnx_models import doubling

PROJECT = ProjectName("default")


@pytest_asyncio.fixture
async def running(
    start_service: StartService, token_for: TokenFor, postgres_url: str, blobs_dir: Path
) -> AsyncIterator[Recorded]:
    async with recorded(start_service, token_for, postgres_url, blobs_dir) as running:
        await running.serve("digits", doubling())
        yield running


async def ask(running: Recorded) -> InferenceRecordName:
    return await running.ask("digits", [[1, 2, 3, 4]])


async def test_what_is_said_is_shown_with_the_record_and_its_history_is_kept(running: Recorded) -> None:
    name = await ask(running)  # not written yet

    def work() -> None:
        client = running.writer
        assert inference_records.say(client, name, ground_truth=7, score=0.25, actions=["opened"])
        assert not inference_records.say(client, name, ground_truth=7, score=0.25, actions=["opened"])
        assert inference_records.say(client, name, score=1.0, explanation={"x": -0.5})
        record = inference_records.get(client, name)
        assert record.ground_truth.number_value == 7
        assert (record.feedback_score, list(record.feedback_actions)) == (1.0, ["opened"])
        assert dict(record.explanation) == {"x": -0.5}
        history = list(inference_records.history(client, name))
        assert [each.score for each in history] == [1.0, 0.25]
        assert all(each.created_by == "ada" and each.HasField("create_time") for each in history)

    await asyncio.to_thread(work)


async def test_a_late_truth_of_any_type_reaches_a_record_in_a_file(running: Recorded) -> None:
    name = await ask(running)
    await asyncio.to_thread(lambda: list(inference_records.find(running.reader, PROJECT)))
    assert await running.move() == 1

    def work() -> None:
        for truth in ("zwölf", 0, False, ["a", 1.5], {"label": "cat", "box": [1, 2]}):
            inference_records.say(running.writer, name, ground_truth=truth)
            (listed,) = inference_records.find(running.reader, PROJECT)
            assert json_format.MessageToDict(listed.ground_truth) == truth

    await asyncio.to_thread(work)


async def test_many_are_told_of_at_once_and_all_or_none_are_kept(running: Recorded) -> None:
    names = [await ask(running) for _ in range(3)]
    old = InferenceRecordName("default", "01890000-0000-7000-8000-000000000000")

    def work() -> None:
        said = [inference_records.feedback(name, score=0.5) for name in names]
        with pytest.raises(NotFound) as missing:
            inference_records.say_all(running.writer, PROJECT, [*said, inference_records.feedback(old, score=0.5)])
        assert missing.value.reason == "RECORD_NOT_FOUND"
        assert inference_records.say_all(running.writer, PROJECT, said) == 3
        assert inference_records.say_all(running.writer, PROJECT, said) == 0

    await asyncio.to_thread(work)


async def test_another_process_may_have_the_record_still(running: Recorded) -> None:
    """An id that was made a moment ago is believed; its feedback is there when the record comes."""
    fresh = InferenceRecordName("default", new_id())

    def work() -> None:
        assert inference_records.say(running.writer, fresh, ground_truth=1)
        assert len(list(inference_records.history(running.writer, fresh))) == 1
        beyond_all_years = "ffffffff-ffff-7000-8000-000000000000"
        for wrong in ("not-an-id", "01890000-0000-4000-8000-000000000000", beyond_all_years):
            with pytest.raises(NotFound):
                inference_records.say(running.writer, InferenceRecordName("default", wrong), score=1.0)

    await asyncio.to_thread(work)


async def test_what_cannot_be_feedback_is_refused(running: Recorded) -> None:
    name = await ask(running)

    def work() -> None:
        client = running.writer
        stub = feedback_pb2_grpc.InferenceFeedbackServiceStub(client.channel("inference"))
        nothing: dict[str, Any] = {}
        wrong = [nothing, {"score": 1.5}, {"score": float("nan")}, {"explanation": {"x": float("inf")}}]
        wrong += [{"actions": [""]}, {"ground_truth": "x" * 70_000}, {"ground_truth": "a\0b"}]
        for said in wrong:
            with pytest.raises(InvalidArgument):
                inference_records.say(client, name, **said)
        for value in (float("nan"), float("inf")):
            message = feedback_pb2.InferenceFeedback(record=str(name))
            message.ground_truth.number_value = value
            with pytest.raises(InvalidArgument):
                stub.RecordFeedback(feedback_pb2.RecordFeedbackRequest(parent=str(PROJECT), feedback=[message]))
        elsewhere = inference_records.feedback(name, score=1.0)
        with pytest.raises(InvalidArgument):
            stub.RecordFeedback(feedback_pb2.RecordFeedbackRequest(parent="projects/other", feedback=[elsewhere]))
        with pytest.raises(InvalidArgument):
            stub.RecordFeedback(feedback_pb2.RecordFeedbackRequest(parent=str(PROJECT)))
        assert inference_records.say(client, name, score=1.0, feedback_id="mine")
        with pytest.raises(AlreadyExists):
            inference_records.say(client, name, score=0.0, feedback_id="mine")
        with pytest.raises(PermissionDenied):
            inference_records.say(running.reader, name, score=1.0)
        with pytest.raises(NotFound):
            list(inference_records.history(client, InferenceRecordName("default", new_id())))

    await asyncio.to_thread(work)


async def test_a_request_that_failed_is_found_by_the_id_in_its_error(running: Recorded) -> None:
    """M-84: resultCode."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(running.reader.channel("inference"))
    asking = infer("digits", tensor("x", "FP32", [1, 2]), raw=[floats(1, 2)])
    with pytest.raises(InvalidArgument) as refused:
        await asyncio.to_thread(stub.ModelInfer, asking)
    name = InferenceRecordName("default", refused.value.metadata["request_id"])

    record = await asyncio.to_thread(inference_records.get, running.reader, name)

    assert (record.result_code, record.is_final) == ("SIGNATURE_MISMATCH", True)
    assert await asyncio.to_thread(lambda: inference_records.say(running.writer, name, ground_truth=1))


def test_times_need_a_zone() -> None:
    with pytest.raises(InvalidArgument):
        inference_records.query(PROJECT, start=datetime.datetime(2026, 1, 1))  # noqa: DTZ001
