"""Records through a stock Arrow Flight client: the database's and the files' as one."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio
from pyarrow import flight

from chassis.testing.services import StartService, TokenFor
from headwater import deployments, inference_records
from headwater.errors import InvalidArgument, NotFound, Unauthenticated, Unimplemented
from headwater.flight import flight_errors
from headwater.inference.v1 import flight_pb2, recording_pb2
from headwater.names import DeploymentName, InferenceRecordName, ModelVersionName, ProjectName
from headwater.tensors import digest, from_canonical
from tests.integration.inference.recorded import Recorded, recorded
from tests.unit.inference.onnx_models import doubling, identity

PROJECT = ProjectName("default")
DIGITS = DeploymentName("default", "digits")


@pytest_asyncio.fixture
async def running(
    start_service: StartService, token_for: TokenFor, postgres_url: str, blobs_dir: Path
) -> AsyncIterator[Recorded]:
    async with recorded(start_service, token_for, postgres_url, blobs_dir) as running:
        await running.serve("digits", doubling(), recording_pb2.Recording(sample_rate=1.0))
        yield running


async def read(running: Recorded, **wanted: Any) -> pa.Table:
    """The records, as the SDK reads them."""

    def work() -> pa.Table:
        with inference_records.read(running.reader, inference_records.query(PROJECT, **wanted)) as reader:
            return reader.read_all()

    return await asyncio.to_thread(work)


def ids(table: pa.Table) -> list[str]:
    return list(table.column("request_id").to_pylist())


async def test_a_stock_client_reads_what_was_answered_a_moment_ago_and_what_is_in_files(running: Recorded) -> None:
    """Promise 3; M-84."""
    asked = [await running.ask("digits", [[n, 0, 0, 0]]) for n in range(3)]
    await asyncio.to_thread(lambda: len(list(inference_records.find(running.reader, PROJECT))))
    assert await running.move() == 3
    asked += [await running.ask("digits", [[n, 0, 0, 0]]) for n in range(2)]

    def stock() -> pa.Table:
        with flight.FlightClient(f"grpc://127.0.0.1:{running.service.flight_port}") as client:
            options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {running.reader.token}".encode())])
            descriptor = flight.FlightDescriptor.for_path("projects", "default", "deployments", "digits")
            info = client.get_flight_info(descriptor, options)
            assert client.get_schema(descriptor, options).schema == info.schema
            return client.do_get(info.endpoints[0].ticket, options).read_all()

    table = await asyncio.to_thread(stock)

    assert ids(table) == [name.record for name in asked]
    first = table.to_pylist()[0]
    assert first["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [1, 4]}]
    assert (first["result"], first["caller"], first["response_bytes"]) == ("OK", "reader", 16)
    assert first["request_time"].tzinfo is not None
    assert "request_body" not in table.schema.names


async def ask_two_and_fail_once(
    running: Recorded,
) -> tuple[datetime.datetime, InferenceRecordName, InferenceRecordName]:
    """Begin now: one answer of ``digits``, one of ``copy``, and a question that does not fit."""
    await running.serve("copy", identity())
    begun = datetime.datetime.now(datetime.UTC)
    one, other = await running.ask("digits", [[1, 2, 3, 4]]), await running.ask("copy", [[1, 2, 3, 4]])
    with pytest.raises(Exception, match="shape"):
        await running.ask("digits", [[1, 2]])
    return begun, one, other


async def test_records_are_read_by_deployment_version_result_and_time(running: Recorded) -> None:
    begun, one, other = await ask_two_and_fail_once(running)

    for _ in range(2):  # from the database, then from files
        assert ids(await read(running, deployment=DIGITS, result_code="OK")) == [one.record]
        version = ModelVersionName("default", "copy", "1")
        assert ids(await read(running, model_version=version)) == [other.record]
        failed = await read(running, result_code="SIGNATURE_MISMATCH")
        assert failed.num_rows == 1
        assert failed.column("response_digest").to_pylist() == [""]
        assert (await read(running, start=begun)).num_rows == 3
        assert (await read(running, end=begun)).num_rows == 0
        condition = "deployment = 'copy' OR (result <> 'OK' AND latency_ms >= 0 AND ground_truth IS NULL)"
        assert (await read(running, filter=condition)).num_rows == 2
        await running.move()


async def test_tensors_come_with_their_digest_and_feedback_with_the_records(running: Recorded) -> None:
    """M-85, M-86."""
    asked = await running.ask("digits", [[1, 2, 3, 4]])
    for _ in range(2):
        row = (await read(running, with_bodies=True)).to_pylist()[0]
        assert digest(from_canonical(row["request_body"])) == row["request_digest"]
        assert from_canonical(row["response_body"])[0].array.tolist() == [[2, 4, 6, 8]]
        assert (row["ground_truth"], row["feedback_score"], row["feedback_actions"]) == (None, None, None)
        await running.move()

    await asyncio.to_thread(say, running, asked)
    row = (await read(running)).to_pylist()[0]
    assert (row["ground_truth"], row["feedback_score"], row["feedback_actions"]) == ('"seven"', 0.0, ["clicked"])
    assert row["explanation"] == [("x", 0.5)]


def say(running: Recorded, name: InferenceRecordName) -> None:
    inference_records.say(
        running.writer, name, ground_truth="seven", score=0.0, actions=["clicked"], explanation={"x": 0.5}
    )


async def test_nobody_reads_without_a_token_and_a_ticket_is_its_owners(running: Recorded) -> None:
    """Promise 14."""

    def work() -> None:
        wanted = inference_records.query(PROJECT)
        descriptor = flight.FlightDescriptor.for_command(wanted.SerializeToString())
        client, options = running.reader.inference_flight(), running.reader.flight_options()
        with pytest.raises(Unauthenticated), flight_errors():
            client.get_flight_info(descriptor)
        ticket = client.get_flight_info(descriptor, options).endpoints[0].ticket
        with pytest.raises(Exception, match="ticket"), flight_errors():
            client.do_get(ticket, running.writer.flight_options()).read_all()

    await asyncio.to_thread(work)


def commanded(**query: Any) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_command(flight_pb2.RecordsQuery(**query).SerializeToString())


async def test_what_names_no_records_is_refused(running: Recorded) -> None:
    """Promise 13, and malformed tickets and commands."""
    wrong = [
        flight.FlightDescriptor.for_path("projects", "default"),
        flight.FlightDescriptor.for_path("projects", "..", "inferenceRecords"),
        flight.FlightDescriptor.for_command(b"\xff\xff"),
        commanded(parent=""),
        commanded(parent="projects/default", deployment="projects/other/deployments/d"),
        commanded(parent="projects/default", model_version="projects/default/models/digits"),
        commanded(parent="projects/default", start_time={"seconds": 2**62}),
        commanded(parent="projects/default", result_code="x" * 256),
        commanded(parent="projects/default", filter="no_such_column = 1"),
        commanded(parent="projects/default", filter="SELECT 1"),
    ]

    def work() -> None:
        client, options = running.reader.inference_flight(), running.reader.flight_options()
        for descriptor in wrong:
            with pytest.raises(InvalidArgument), flight_errors():
                client.get_flight_info(descriptor, options)
        for ticket in (b"", b"x", b"x" * 2**20):
            with pytest.raises(InvalidArgument), flight_errors():
                client.do_get(flight.Ticket(ticket), options).read_all()

    await asyncio.to_thread(work)


async def test_a_deployment_that_there_never_was_is_told_from_one_that_was_asked_nothing(running: Recorded) -> None:
    """Also from one that is archived, whose records stay."""
    await running.serve("asked", doubling())
    await running.serve("unasked", doubling())
    record = await running.ask("asked", [[1, 2, 3, 4]])
    await asyncio.to_thread(deployments.archive, running.writer, DeploymentName("default", "asked"))

    for name, expected in (("asked", [record.record]), ("unasked", [])):
        deployment = DeploymentName("default", name)
        assert ids(await read(running, deployment=deployment)) == expected
        assert await listed(running, deployment=deployment) == expected
    nobody = DeploymentName("default", "nobody")
    for asking in (read(running, deployment=nobody), listed(running, deployment=nobody)):
        with pytest.raises(NotFound, match=str(nobody)) as refused:
            await asking
        assert refused.value.reason == "DEPLOYMENT_NOT_FOUND"


async def test_records_are_listed_by_version_result_and_time(running: Recorded) -> None:
    begun, one, other = await ask_two_and_fail_once(running)

    for _ in range(2):  # from the database, then from files
        both = await listed(running)
        (failed,) = {*both} - {one.record, other.record}
        assert both == [failed, other.record, one.record]
        assert await listed(running, model_version=ModelVersionName("default", "copy", "1")) == [other.record]
        assert await listed(running, result_code="SIGNATURE_MISMATCH") == [failed]
        assert await listed(running, failures=True, deployment=DIGITS) == [failed]
        assert await listed(running, start=begun, result_code="OK") == [other.record, one.record]
        assert await listed(running, end=begun) == []
        await running.move()
    with pytest.raises(InvalidArgument, match="time zone"):
        await listed(running, start=datetime.datetime(2026, 1, 1))  # noqa: DTZ001


async def test_who_lists_flights_is_told_what_to_call(running: Recorded) -> None:
    def work() -> None:
        client, options = running.reader.inference_flight(), running.reader.flight_options()
        with pytest.raises(Unimplemented, match="Call GetFlightInfo with a RecordsQuery"), flight_errors():
            list(client.list_flights(b"", options))

    await asyncio.to_thread(work)


async def listed(running: Recorded, **wanted: Any) -> list[str]:
    """The ids, as the SDK lists them."""
    found = await asyncio.to_thread(lambda: [*inference_records.find(running.reader, PROJECT, **wanted)])
    return [each.name.rpartition("/")[2] for each in found]
