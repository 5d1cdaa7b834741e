"""Records over Arrow Flight: GetFlightInfo for a query, DoGet for its rows. flight.proto says what they carry."""

import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import pyarrow as pa
from pyarrow import flight

from chassis.auth import Role
from chassis.filters import Filter
from chassis.flight import FlightCall, FlightEdge, FlightWiring
from chassis.rpc.validation import parse
from headwater.errors import InvalidArgument, Unimplemented
from headwater.inference.v1 import flight_pb2
from services.inference.records.archive import Archive
from services.inference.records.columns import FULL_SCHEMA, SCHEMA
from services.inference.records.convert import query_from_proto
from services.inference.records.feedback.model import newest
from services.inference.records.feedback.store import FeedbackStore
from services.inference.records.known import KnownDeployments
from services.inference.records.recorder import Recorder

_FEEDBACK = pa.schema(
    [
        pa.field("ground_truth", pa.string()),
        pa.field("feedback_score", pa.float64()),
        pa.field("feedback_actions", pa.list_(pa.string())),
        pa.field("explanation", pa.map_(pa.string(), pa.float64())),
    ]
)


class UnknownCommand(InvalidArgument):
    """The descriptor says nothing that this server knows."""

    reason = "UNKNOWN_COMMAND"
    text = "The descriptor must be a RecordsQuery, or the path of a project's inferenceRecords or of a deployment."


class NotListed(Unimplemented):
    """Records are not a list of flights: which there are depends on what is asked."""

    reason = "NOT_LISTED"
    text = (
        "Records are not listed. Call GetFlightInfo with a RecordsQuery, or with the path projects/{project}/"
        "inferenceRecords or projects/{project}/deployments/{deployment}."
    )


class RecordsFlight(FlightEdge):
    """One stream of record batches for a query, in the order in which the records were written."""

    roles: ClassVar[Mapping[str, Role]] = {
        "get_flight_info": Role.READER,
        "get_schema": Role.READER,
        "do_get": Role.READER,
        "list_flights": Role.READER,
    }

    def __init__(
        self,
        wiring: FlightWiring,
        recorder: Recorder,
        archive: Archive,
        feedback: FeedbackStore,
        deployments: KnownDeployments,
    ) -> None:
        super().__init__(wiring)
        self._recorder = recorder
        self._archive = archive
        self._feedback = feedback
        self._deployments = deployments

    def list(self, call: FlightCall, criteria: bytes) -> Iterable[flight.FlightInfo]:
        """Refused, with what to call instead."""
        raise NotListed()

    def info(self, call: FlightCall, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """The schema, and a ticket for what is recorded until now: everything that was answered before this call."""
        query = _query_of(descriptor)
        wanted = query_from_proto(query)
        _filter_of(query)
        call.run(self._deployments.check(wanted))
        call.run(self._recorder.flush())
        ticket = flight_pb2.RecordsTicket(query=query, last_sequence=call.run(self._archive.last_sequence()))
        endpoint = flight.FlightEndpoint(call.ticket(ticket.SerializeToString()), [])
        return flight.FlightInfo(_schema(query), descriptor, [endpoint], -1, -1, ordered=True)

    def get(self, call: FlightCall, payload: bytes) -> flight.FlightDataStream:
        """The records of the ticket, with what has been said of them by now."""
        ticket = flight_pb2.RecordsTicket.FromString(payload)
        schema = _schema(ticket.query)
        return call.stream(schema, self._batches(call, ticket, schema))

    def _batches(
        self, call: FlightCall, ticket: flight_pb2.RecordsTicket, schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        query, chosen = query_from_proto(ticket.query), _filter_of(ticket.query)
        found = self._archive.scan(query, 0, ticket.last_sequence, bodies=ticket.query.with_bodies)
        try:
            while (batch := call.run(_next(found))) is not None:
                if batch.num_rows:
                    rows = call.run(self._with_feedback(query.project, batch, schema))
                    yield from [rows] if chosen is None else _selected(chosen, rows)
        finally:
            call.run_through(found.aclose())

    async def _with_feedback(self, project: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        ids = batch.column("request_id").to_pylist()
        feedback = await self._feedback.of(project, ids)
        said = [newest(feedback[each]) if each in feedback else None for each in ids]
        columns: list[list[Any]] = [
            [None if each is None or each.ground_truth is None else json.dumps(each.ground_truth) for each in said],
            [None if each is None else each.score for each in said],
            [None if each is None else list(each.actions) or None for each in said],
            [None if each is None else list(each.explanation.items()) or None for each in said],
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _FEEDBACK, strict=True)]
        return pa.record_batch([*batch.columns, *arrays], schema=schema)


def _query_of(descriptor: flight.FlightDescriptor) -> flight_pb2.RecordsQuery:
    if descriptor.descriptor_type is flight.DescriptorType.CMD:
        query = parse(flight_pb2.RecordsQuery.FromString, descriptor.command)
        assert isinstance(query, flight_pb2.RecordsQuery)
        return query
    if descriptor.descriptor_type is not flight.DescriptorType.PATH:
        raise UnknownCommand()
    match [segment.decode(errors="replace") for segment in descriptor.path]:
        case ["projects", project, "inferenceRecords"]:
            return flight_pb2.RecordsQuery(parent=f"projects/{project}")
        case ["projects", project, "deployments", deployment]:
            name = f"projects/{project}/deployments/{deployment}"
            return flight_pb2.RecordsQuery(parent=f"projects/{project}", deployment=name)
    raise UnknownCommand()


def _filter_of(query: flight_pb2.RecordsQuery) -> Filter | None:
    """The query's own condition; raises InvalidFilter."""
    return Filter.parse(query.filter, _schema(query)) if query.filter else None


def _selected(chosen: Filter, rows: pa.RecordBatch) -> list[pa.RecordBatch]:
    batches: list[pa.RecordBatch] = chosen.select(pa.Table.from_batches([rows])).combine_chunks().to_batches()
    return batches


def _schema(query: flight_pb2.RecordsQuery) -> pa.Schema:
    return pa.schema([*(FULL_SCHEMA if query.with_bodies else SCHEMA), *_FEEDBACK])


async def _next(batches: AsyncGenerator[pa.RecordBatch]) -> pa.RecordBatch | None:
    return await anext(batches, None)
