"""Records of requests: how they are written, moved, read and sent on."""

import functools
from collections.abc import Sequence

from chassis import Service
from chassis.blobs import MemoryBlobs
from chassis.clock import Clock
from headwater.inference.v1 import (
    deployments_pb2,
    deployments_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
)
from headwater.names import DeploymentName
from services.inference.deployments.errors import DeploymentNotFound
from services.inference.deployments.model import Deployment
from services.inference.deployments.store import DeploymentStore
from services.inference.records.archive import Archive
from services.inference.records.events.exporter import Exporter
from services.inference.records.events.sinks import sink_from_url
from services.inference.records.feedback.feedback import Feedbacks
from services.inference.records.feedback.servicer import InferenceFeedbackServicer
from services.inference.records.flight import RecordsFlight
from services.inference.records.known import KnownDeployments
from services.inference.records.log_file import RequestLog
from services.inference.records.making import Observer
from services.inference.records.recorder import Recorder
from services.inference.records.rotation import Rotation, RotationOptions
from services.inference.records.servicer import InferenceRecordServicer
from services.inference.settings import Settings
from services.inference.wiring.outside import Outside

_ROTATION_INTERVAL_S = 10.0


def add_records(
    service: Service, settings: Settings, outside: Outside, clock: Clock, observers: Sequence[Observer]
) -> Recorder:
    """What records requests, with everything that shows records, moves them, and sends them on."""
    archive = Archive(outside.records, outside.blobs or MemoryBlobs())
    recorder = Recorder(
        archive,
        flush_interval_s=settings.record_flush_interval_s,
        max_records=settings.record_buffer_size,
        max_bytes=settings.record_buffer_bytes,
        observers=observers,
        listeners=[RequestLog(settings.request_log)] if settings.request_log else [],
    )
    known = KnownDeployments(recorder, functools.partial(_deployment, outside.deployments))
    service.add_servicer(
        deployments_pb2_grpc.add_InferenceRecordServiceServicer_to_server,
        InferenceRecordServicer(recorder, outside.feedback, known),
        deployments_pb2.DESCRIPTOR.services_by_name["InferenceRecordService"],
    )
    service.add_servicer(
        feedback_pb2_grpc.add_InferenceFeedbackServiceServicer_to_server,
        InferenceFeedbackServicer(Feedbacks(recorder, outside.feedback, clock)),
        feedback_pb2.DESCRIPTOR.services_by_name["InferenceFeedbackService"],
    )
    service.add_flight(
        lambda wiring: RecordsFlight(wiring, recorder, archive, outside.feedback, known), port=settings.flight_port
    )
    service.add_check("records", recorder.check)
    service.add_background("records", recorder.run)
    if outside.blobs is not None:
        options = RotationOptions(
            settings.record_rotate_after_s,
            settings.record_rotate_rows,
            settings.record_retention_s,
            settings.record_body_retention_s,
            interval_s=min(settings.record_rotate_after_s / 10, _ROTATION_INTERVAL_S),
        )
        rotation = Rotation(outside.records, outside.feedback, outside.blobs, clock, options)
        service.add_background("record files", rotation.run)
    if settings.events_url:
        sink = sink_from_url(settings.events_url, settings.events_hosts)
        exporter = Exporter(outside.records, archive, sink, settings.events_interval_s)
        service.add_background("events", exporter.run)
    return recorder


async def _deployment(store: DeploymentStore, name: DeploymentName) -> Deployment:
    """The deployment, also an archived one; raises DeploymentNotFound."""
    try:
        async with store.transaction() as tx:
            return await tx.get(name)
    except DeploymentNotFound as error:
        text = f"There is no deployment {name}, and no record of one of that name."
        raise DeploymentNotFound(text, deployment=name) from error
