"""DoExchange: rows are checked as they would be when they are put, and nothing is stored."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.service import Service
from chassis.testing import StartService
from headwater import datasets, tree
from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.errors import HeadwaterError
from headwater.flight import flight_errors
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo


def table(rows: int = 5_000) -> pa.Table:
    return pa.table(
        {"row": np.arange(rows), "text": [None if row % 5 == 0 else "x" * (row % 300) for row in range(rows)]}
    )


def verdicts_of(connection: Connection, rows: pa.Table, command: bytes) -> tuple[pa.Table, flight_pb2.CheckResult]:
    """As a client that has nothing but Arrow Flight."""
    with flight_errors():
        descriptor = flight.FlightDescriptor.for_command(command)
        writer, reader = connection.flight().do_exchange(descriptor, connection.flight_options())
        with writer:
            writer.begin(rows.schema)
            answers = []
            for batch in rows.to_batches(max_chunksize=999):
                writer.write_batch(batch)
                answers.append(reader.read_chunk().data)
            writer.done_writing()
            result = flight_pb2.CheckResult.FromString(bytes(reader.read_chunk().app_metadata))
        return pa.Table.from_batches(answers), result


async def test_a_check_tells_the_digests_that_a_push_would_give(connection: Connection, blobs_dir: Path) -> None:
    def story() -> None:
        checked = datasets.check(connection, table())
        assert (checked.row_count, checked.problem_count, checked.problems) == (5_000, 0, ())
        assert [file for file in blobs_dir.rglob("*") if file.is_file()] == []
        pushed = datasets.push(connection, "d", datasets.Tables({"train": table()}))
        assert checked.digest == pushed.version.digest
        assert datasets.check(connection, table(), split="test").digest != pushed.version.digest
        assert datasets.check(connection, table(), version="d@v1.0.0").digest == pushed.version.digest

        verdicts, result = verdicts_of(connection, table(), b"")
        assert result == flight_pb2.CheckResult(digest=pushed.version.digest, row_count=5_000)
        (batch,) = table().combine_chunks().to_batches()
        digests = b"".join(piece.digests for piece in tree.RowHasher(batch.schema).hash(batch))
        assert b"".join(verdicts.column("row_digest").to_pylist()) == digests
        assert verdicts.column("problem").null_count == 5_000

    await asyncio.to_thread(story)


async def test_rows_that_could_not_be_stored_are_named_and_the_others_are_digested(connection: Connection) -> None:
    """A row may have 8 MiB."""
    sizes = [10, 9 << 20, 20, 30, (8 << 20) + 1, 40]
    rows = pa.table({"data": pa.array([b"x" * size for size in sizes])})

    def story() -> None:
        checked = datasets.check(connection, rows)
        assert (checked.digest, checked.row_count, checked.problem_count) == ("", 6, 2)
        assert [problem.row for problem in checked.problems] == [1, 4]
        assert "8 MiB" in checked.problems[0].text
        assert [problem.row for problem in datasets.check(connection, rows, max_problems=1).problems] == [1]
        verdicts, _ = verdicts_of(connection, rows, b"")
        assert [digest is None for digest in verdicts.column("row_digest").to_pylist()] == [
            problem is not None for problem in verdicts.column("problem").to_pylist()
        ]
        assert verdicts.column("problem").null_count == 4

    await asyncio.to_thread(story)


async def test_no_rows_are_a_version_too(connection: Connection) -> None:
    def story() -> None:
        checked = datasets.check(connection, table().slice(0, 0))
        pushed = datasets.push(connection, "d", datasets.Tables({"train": table().slice(0, 0)}))
        assert (checked.digest, checked.row_count) == (pushed.version.digest, 0)

    await asyncio.to_thread(story)


OTHERS: list[tuple[pa.Schema, str]] = [
    (pa.schema([("row", pa.int64())]), "text is missing"),
    (pa.schema([("row", pa.int64()), ("text", pa.string()), ("new", pa.null())]), "new is not among them"),
    (pa.schema([("row", pa.int32()), ("text", pa.string())]), "row is int32 and should be int64"),
    (pa.schema([("text", pa.string()), ("row", pa.int64())]), "their order should be row, text"),
]


async def test_rows_of_other_columns_than_the_versions_are_refused_with_every_difference(
    connection: Connection,
) -> None:
    def story() -> None:
        datasets.push(connection, "d", datasets.Tables({"train": table()}))
        for schema, said in OTHERS:
            with pytest.raises(HeadwaterError, match=said) as refusal:
                datasets.check(connection, schema.empty_table(), version="d")
            assert refusal.value.reason == "SCHEMA_DIFFERS"
        layouts = pa.schema([("row", pa.int64()), ("text", pa.dictionary(pa.int16(), pa.large_string()))])
        assert datasets.check(connection, table().cast(layouts), version="d@main").problem_count == 0

    await asyncio.to_thread(story)


async def test_what_no_dataset_can_have_is_refused(connection: Connection) -> None:
    """Also a version, a split and a command that are not there."""
    same = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    cases: list[tuple[pa.Table, dict[str, Any], str]] = [
        (same.empty_table(), {}, "INVALID_SCHEMA"),
        (pa.table({"headwater.row_digest": [1]}), {}, "INVALID_COLUMN_NAME"),
        (pa.table({"headwater.row": [1]}), {}, "INVALID_COLUMN_NAME"),
        (table(1), {"version": "nothing@v1.0.0"}, "DATASET_NOT_FOUND"),
        (table(1), {"split": "../a"}, "INVALID_NAME"),
    ]

    def story() -> None:
        for rows, options, reason in cases:
            with pytest.raises(HeadwaterError) as refusal:
                datasets.check(connection, rows, **options)
            assert refusal.value.reason == reason
        with pytest.raises(HeadwaterError) as refusal:
            verdicts_of(connection, table(1), b"\xff\xff")
        assert refusal.value.reason == "MALFORMED_MESSAGE"

    await asyncio.to_thread(story)


async def test_checks_and_puts_together_are_limited(start_service: StartService, connection_to: ConnectTo) -> None:
    """Promise 8: the next one is told to come again, and can when one has ended."""
    service: Service = await start_service(build, Settings, flight_port=0, max_put_streams=1)
    first, second = connection_to(service), connection_to(service)

    def story() -> None:
        descriptor = flight.FlightDescriptor.for_command(b"")
        writer, reader = first.flight().do_exchange(descriptor, first.flight_options())
        with writer:
            writer.begin(table().schema)
            writer.write_batch(table(10).to_batches()[0])
            reader.read_chunk()
            with pytest.raises(HeadwaterError) as refusal:
                datasets.check(second, table())
            assert (refusal.value.reason, refusal.value.retry_after_ms) == ("TOO_MANY_PUTS", 1000)
            writer.done_writing()
            reader.read_chunk()
        assert datasets.check(second, table()).row_count == 5_000

    await asyncio.to_thread(story)
