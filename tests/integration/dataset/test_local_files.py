"""Rows handed to readers on the same host: over the Unix socket, and as files that they map (issue 3, hand-off)."""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService, TokenFor
from headwater import datasets
from headwater.client import Connection, Endpoints
from headwater.dataset.v1 import flight_pb2
from headwater.errors import HeadwaterError
from headwater.flight import flight_errors
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo

ROWS = 20_000


def table() -> pa.Table:
    """About 10 MiB, so that the service's small packs are several."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(ROWS * 128, dtype=np.float32)), 128)
    text = pa.array([None if row % 7 == 0 else f"row {row}" for row in range(ROWS)])
    field = pa.field("vector", vectors.type, metadata={"headwater.shape": "[8, 16]"})
    return pa.table(
        [np.arange(ROWS), text, vectors], schema=pa.schema([("row", pa.int64()), ("text", "string"), field])
    )


@pytest.fixture
async def version(connection: Connection) -> str:
    """A version with the table as its split train."""
    pushed = await asyncio.to_thread(datasets.push, connection, "d", datasets.Tables({"train": table()}))
    return pushed.version.name


async def test_mapped_rows_are_the_rows_that_are_served(connection: Connection, version: str) -> None:
    choices: list[dict[str, Any]] = [
        {},
        {"columns": ["text", "row"]},
        {"shard": (1, 3)},
        {"first_row": 4_321, "row_limit": 9_876, "columns": ["vector"]},
        {"first_row": ROWS},
        {"row_limit": 1},
    ]

    def story() -> None:
        for choice in choices:
            mapped = datasets.open_local(connection, version, "train", **choice)
            assert mapped.equals(
                datasets.reader(connection, version, "train", **choice).read_all(), check_metadata=True
            )
        assert datasets.open_local(connection, "d@main", "train").num_rows == ROWS

    await asyncio.to_thread(story)


async def test_nothing_is_copied(connection: Connection, version: str) -> None:
    def story() -> None:
        before = pa.total_allocated_bytes()
        mapped = datasets.open_local(connection, version, "train")
        assert mapped.nbytes > 8 << 20
        assert pa.total_allocated_bytes() - before < 64 << 10

    await asyncio.to_thread(story)


async def test_mapped_rows_outlive_the_files(connection: Connection, version: str, blobs_dir: Path) -> None:
    def story() -> None:
        mapped = datasets.open_local(connection, version, "train")
        for file in blobs_dir.rglob("*"):
            if file.is_file():
                file.unlink()
        assert mapped.equals(table())

    await asyncio.to_thread(story)


def refusal_of(work: Callable[[], object]) -> str:
    with pytest.raises(HeadwaterError) as refusal:
        work()
    return refusal.value.reason


async def test_a_file_with_a_flipped_bit_is_not_named(connection: Connection, version: str, blobs_dir: Path) -> None:
    """Promise 5, as for rows that are served."""

    def story() -> None:
        pack = max((file for file in blobs_dir.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(data)
        assert refusal_of(lambda: datasets.open_local(connection, version, "train")) == "PACK_CORRUPT"

    await asyncio.to_thread(story)


async def test_files_that_cannot_be_opened_here_are_said_to_be_elsewhere(
    connection: Connection, version: str, blobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container of its own, where the service's paths lead nowhere."""

    def elsewhere(path: str, mode: str) -> Any:
        return open(f"/elsewhere{path}", mode)  # there is none

    monkeypatch.setattr("headwater.datasets.local.open", elsewhere, raising=False)
    reason = await asyncio.to_thread(refusal_of, lambda: datasets.open_local(connection, version, "train"))
    assert reason == "NOT_LOCAL"


def local_files(connection: Connection, body: bytes) -> flight_pb2.LocalFiles:
    with flight_errors():
        (answer,) = connection.flight().do_action(flight.Action("local_files", body), connection.flight_options())
        return flight_pb2.LocalFiles.FromString(answer.body.to_pybytes())


def redeem(connection: Connection, ticket: bytes) -> flight_pb2.LocalFiles:
    return local_files(connection, flight_pb2.LocalFilesRequest(ticket=ticket).SerializeToString())


def ticket_of(connection: Connection, **choice: Any) -> bytes:
    command = flight_pb2.GetCommand(split="train", **choice)
    descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
    info = connection.flight().get_flight_info(descriptor, connection.flight_options())
    return bytes(info.endpoints[0].ticket.ticket)


SCATTERED: list[dict[str, Any]] = [
    {"filter": "row > 5"},
    {"shuffle": flight_pb2.Shuffle(seed=1)},
    {"global_batch_rows": 64},
]


async def test_files_are_named_for_good_tickets_of_plain_reads_only(
    service: Service, connection_to: ConnectTo, version: str
) -> None:
    ann, bob = connection_to(service, Role.READER, subject="ann"), connection_to(service, subject="bob")

    def story() -> None:
        good = ticket_of(ann, version=version)
        assert sum(rows.row_count for rows in redeem(ann, good).rows) == ROWS
        assert refusal_of(lambda: redeem(bob, good)) == "FOREIGN_TICKET"
        for ticket in (b"", b"x", good[:-1], good + b"x", bytes(1 << 20)):
            assert refusal_of(functools.partial(redeem, ann, ticket)) == "INVALID_TICKET"
        assert refusal_of(lambda: local_files(ann, good)) == "MALFORMED_MESSAGE"
        for choice in SCATTERED:
            assert (
                refusal_of(functools.partial(redeem, ann, ticket_of(ann, version=version, **choice)))
                == "ROWS_SCATTERED"
            )
        three = flight_pb2.LocalFilesRequest()
        three.command.version, three.command.split, three.command.shard_count = version, "train", 3
        assert refusal_of(lambda: local_files(ann, three.SerializeToString())) == "ONE_SHARD_ONLY"
        with flight_errors():
            actions = [action.type for action in ann.flight().list_actions(ann.flight_options())]
        assert actions == ["local_files"]

    await asyncio.to_thread(story)


async def test_a_client_takes_the_unix_socket_while_somebody_listens_there(
    start_service: StartService, token_for: TokenFor, tmp_path: Path
) -> None:
    socket = str(tmp_path / "sockets" / "flight.sock")
    service = await start_service(build, Settings, flight_port=0, flight_socket=socket)
    nowhere = Endpoints(dataset=service.address, dataset_flight="127.0.0.1:1", dataset_flight_socket=socket)
    both = Endpoints(
        dataset=service.address,
        dataset_flight=f"127.0.0.1:{service.flight_port}",
        dataset_flight_socket=f"{socket}.of.nobody",
    )

    def story() -> None:
        with Connection(nowhere, token_for(Role.WRITER)) as connection:
            version = datasets.push(connection, "d", datasets.Tables({"train": table()})).version.name
            assert datasets.reader(connection, version, "train").read_all().equals(table())
            assert datasets.open_local(connection, version, "train").equals(table())
        with Connection(both, token_for(Role.READER)) as connection:
            assert datasets.reader(connection, version, "train").read_all().equals(table())

    await asyncio.to_thread(story)
    await service.stop()
    assert not await asyncio.to_thread(Path(socket).exists)
