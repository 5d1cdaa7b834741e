"""The Arrow Flight methods: rows in, rows out."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import pyarrow as pa
from pyarrow import flight

from chassis import memory
from chassis.auth import Role
from chassis.blobs import Blobs
from chassis.flight import Answer, FlightCall, FlightEdge, FlightWiring, Message, Received
from chassis.rpc.validation import parse
from headwater.dataset.v1 import flight_pb2
from headwater.names import DEFAULT_PROJECT, DatasetName, ProjectName, UploadName, check_segment
from services.dataset import convert
from services.dataset.changes.convert import Command, command_from
from services.dataset.changes.edits import Edits
from services.dataset.checks import convert as checks
from services.dataset.checks.check import Check, check_same_columns
from services.dataset.checks.model import VERDICTS
from services.dataset.datasets import Datasets, read_schema
from services.dataset.datastores.reading import LiveReads
from services.dataset.errors import NoRowsStored, SelectionTooLarge, TooManyPuts, TooManyReads, UnknownCommand
from services.dataset.handoff.convert import local_files_to_proto
from services.dataset.handoff.errors import NotLocal
from services.dataset.handoff.handoff import Handoff
from services.dataset.history.model import Version
from services.dataset.reads import Choice, ReadRequest, Reads, Selection
from services.dataset.rows.convert import steps_of
from services.dataset.rows.get import ReadPlan, read
from services.dataset.rows.layout import Layout
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.put import PutResult, PutStream
from services.dataset.rows.writer import PutLimits, PutStore
from services.dataset.store import Store
from services.dataset.uploads import Uploads

_PAGE = 100
# Leaves room for the signature in what the chassis takes for a ticket.
_TICKET_MAX_BYTES = 60 << 10


@dataclasses.dataclass(frozen=True, slots=True)
class FlightParts:
    """What the Flight methods work with."""

    datasets: Datasets
    reads: Reads
    live: LiveReads
    uploads: Uploads
    edits: Edits
    store: Store
    blobs: Blobs
    packs: MappedPacks
    handoff: Handoff
    limits: PutLimits
    max_put_streams: int
    put_slots: threading.Semaphore
    """One for each of ``max_put_streams``, of all listeners together."""
    max_made_streams: int
    made_slots: threading.Semaphore
    """One for each of ``max_made_streams``: of those that are not sent from the packs as they lie there."""
    ticket_ttl_s: float


class DatasetFlight(FlightEdge):
    """GetFlightInfo, DoGet, DoPut, DoExchange, DoAction and ListFlights; flight.proto says what they carry."""

    roles: ClassVar[Mapping[str, Role]] = {
        "get_flight_info": Role.READER,
        "get_schema": Role.READER,
        "list_flights": Role.READER,
        "do_get": Role.READER,
        "do_put": Role.WRITER,
        "do_exchange": Role.READER,
        "do_action": Role.READER,
    }
    actions: ClassVar[Mapping[str, str]] = {
        "local_files": "Which files hold rows, for a reader on the same host to map: LocalFilesRequest, LocalFiles.",
    }

    def __init__(self, wiring: FlightWiring, parts: FlightParts) -> None:
        super().__init__(wiring)
        self._parts = parts

    def info(self, call: FlightCall, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """One endpoint for each shard; its ticket is the caller's alone, for a while."""
        request = _request(descriptor)
        try:
            found = call.run(self._parts.reads.select(request))
        except NoRowsStored:  # its rows are somewhere else
            found = self._parts.live.select(request, call.run)
        # No location: the endpoint is where the caller got it from.
        said = convert.endpoint_to_proto(found).SerializeToString()
        endpoints = [flight.FlightEndpoint(self._ticket(call, shard), [], None, said) for shard in found.shards]
        return flight.FlightInfo(
            found.schema,
            descriptor,
            endpoints,
            found.row_count,
            found.size_bytes,
            ordered=True,
            app_metadata=found.warning.encode(),
        )

    def get(self, call: FlightCall, payload: bytes) -> flight.FlightDataStream:
        """The rows that the ticket names."""
        selection = convert.selection_from_proto(flight_pb2.TicketPayload.FromString(payload))
        try:
            plan = call.run(self._parts.reads.plan(selection))
        except NoRowsStored:
            live = self._parts.live.read(selection, call.run)
            return call.stream(live.schema, live)
        if not isinstance(plan, ReadPlan):
            return call.stream(plan.schema, self._made(plan.batches(self._parts.packs, call.run)))
        rows = read(plan, self._parts.packs, call.run)
        return flight.RecordBatchStream(rows) if isinstance(rows, pa.Table) else call.stream(plan.schema, rows)

    def _made(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches of a stream that holds memory from its first one on, however slowly it is read."""
        if not self._parts.made_slots.acquire(blocking=False):
            raise TooManyReads(limit=self._parts.max_made_streams, retry_after_ms=1000)
        try:
            yield from batches
        finally:
            self._parts.made_slots.release()

    def put(
        self,
        call: FlightCall,
        descriptor: flight.FlightDescriptor,
        received: Received,
        schema: pa.Schema,
    ) -> bytes | None:
        """Store the stream as one split of an upload, or change rows of one by it."""
        command = command_from(descriptor.command) if descriptor.descriptor_type is flight.DescriptorType.CMD else None
        if command is None:
            raise UnknownCommand
        upload, split = UploadName.parse(command.upload, "upload"), check_segment(command.split, "split")
        with self._slot(), memory.stream():
            result = self._put(call, command, upload, split, received, schema)
        return convert.put_result_to_proto(result).SerializeToString()

    def _put(
        self,
        call: FlightCall,
        command: Command,
        upload: UploadName,
        split: str,
        received: Received,
        schema: pa.Schema,
    ) -> PutResult:
        parts = self._parts
        if isinstance(command, flight_pb2.EditCommand):
            place = command.first_row, command.delete_count
            return parts.edits.edit(upload, split, *place, schema, received, call.run)
        if isinstance(command, flight_pb2.UpsertCommand):
            change = parts.edits.delete if command.delete else parts.edits.upsert
            return change(upload, split, schema, received, call.run)
        uid = call.run(parts.uploads.require_open(upload)).uid
        store = PutStore(parts.store, parts.blobs, uid, Layout.of(schema), parts.limits)
        return PutStream(schema, store, call.run, call.run_through).put(split, steps_of(received.messages()))

    def exchange(
        self,
        call: FlightCall,
        descriptor: flight.FlightDescriptor,
        received: Received,
        schema: pa.Schema,
    ) -> Answer:
        """Say of each row whether it could be stored, and of all together which version they would be."""
        if descriptor.descriptor_type is not flight.DescriptorType.CMD:
            raise UnknownCommand
        command = checks.command_from(descriptor.command)
        if command.version:
            check_same_columns(schema, call.run(self._parts.datasets.schema_of(command.version)))
        return Answer(VERDICTS, self._check(Check(schema, command.split), received))

    def _check(self, check: Check, received: Received) -> Iterator[Message]:
        with self._slot():
            for batch in received:
                yield Message(check.add(batch), b"")
            yield Message(None, checks.checked_to_proto(check.finish()).SerializeToString())

    def action(self, call: FlightCall, name: str, body: bytes) -> Iterable[bytes]:
        """The files that hold rows: ``local_files``, the only action there is."""
        if not call.is_local:
            raise NotLocal
        request = parse(flight_pb2.LocalFilesRequest.FromString, body)
        assert isinstance(request, flight_pb2.LocalFilesRequest)
        if request.HasField("command"):
            files = call.run(self._parts.handoff.requested(convert.read_request_from_proto(request.command)))
        else:
            payload = flight_pb2.TicketPayload.FromString(call.open_ticket(request.ticket))
            files = call.run(self._parts.handoff.selected(convert.selection_from_proto(payload)))
        yield local_files_to_proto(files).SerializeToString()

    def list(self, call: FlightCall, criteria: bytes) -> Iterable[flight.FlightInfo]:
        """Each split of each version, newest first, of the dataset or project that ``criteria`` names.

        The descriptors are paths; GetFlightInfo gives the endpoints. No criteria means the project ``default``.
        """
        text = criteria.decode(errors="replace") or f"projects/{DEFAULT_PROJECT}"
        if "/datasets/" in text:
            yield from self._versions(call, DatasetName.parse(text, "criteria"))
            return
        project, token = ProjectName.parse(text, "criteria"), ""
        while True:
            page = call.run(self._parts.datasets.list(project, _PAGE, token))
            for dataset in page.items:
                yield from self._versions(call, dataset.name)
            if not (token := page.next_page_token):
                return

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        """One of the streams of rows that are taken at once."""
        if not self._parts.put_slots.acquire(blocking=False):
            raise TooManyPuts(limit=self._parts.max_put_streams, retry_after_ms=1000)
        try:
            yield
        finally:
            self._parts.put_slots.release()

    def _ticket(self, call: FlightCall, selection: Selection) -> flight.Ticket:
        payload = convert.selection_to_proto(selection).SerializeToString()
        if len(payload) > _TICKET_MAX_BYTES:
            raise SelectionTooLarge(limit_bytes=_TICKET_MAX_BYTES)
        return call.ticket(payload, self._parts.ticket_ttl_s)

    def _versions(self, call: FlightCall, dataset: DatasetName) -> Iterator[flight.FlightInfo]:
        token = ""
        while True:
            page = call.run(self._parts.datasets.list_versions(dataset, _PAGE, token))
            for version in page.items:
                yield from _infos(version)
            if not (token := page.next_page_token):
                return


def _infos(version: Version) -> Iterator[flight.FlightInfo]:
    for split in version.splits:
        descriptor = flight.FlightDescriptor.for_path(*str(version.name).split("/"), split.name)
        yield flight.FlightInfo(read_schema(split), descriptor, [], split.tree.row_count, split.tree.size_bytes)


def _request(descriptor: flight.FlightDescriptor) -> ReadRequest:
    """What a GetCommand, or a path of a version and a split, asks for."""
    if descriptor.descriptor_type is flight.DescriptorType.CMD:
        command = parse(flight_pb2.GetCommand.FromString, descriptor.command)
        assert isinstance(command, flight_pb2.GetCommand)
        return convert.read_request_from_proto(command)
    if descriptor.descriptor_type is not flight.DescriptorType.PATH or len(descriptor.path) < 2:
        raise UnknownCommand
    *version, split = (segment.decode(errors="replace") for segment in descriptor.path)
    return ReadRequest(Choice("/".join(version), check_segment(split, "split")))
