"""Incidents as protobuf."""

import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.inference.v1 import incidents_pb2
from headwater.names import DeploymentName
from services.inference.drift.convert import feature_to_proto
from services.inference.guard.convert import guard_to_proto
from services.inference.guard.window import Measured
from services.inference.incidents.model import AskedRequest, Event, Incident, Kind, State

_Kind, _State = incidents_pb2.Incident.Kind, incidents_pb2.Incident.State
_KINDS = {
    Kind.BREAKER_OPENED: _Kind.KIND_BREAKER_OPENED,
    Kind.ROLLED_BACK: _Kind.KIND_ROLLED_BACK,
    Kind.CANARY_ABORTED: _Kind.KIND_CANARY_ABORTED,
    Kind.FALLBACKS_EXHAUSTED: _Kind.KIND_FALLBACKS_EXHAUSTED,
    Kind.ENGINE_CRASHED: _Kind.KIND_ENGINE_CRASHED,
    Kind.DRIFTED: _Kind.KIND_DRIFTED,
}
_STATES = {
    State.OPEN: _State.STATE_OPEN,
    State.RECOVERED: _State.STATE_RECOVERED,
    State.RESOLVED: _State.STATE_RESOLVED,
}
_BY_PROTO = {proto: state for state, proto in _STATES.items()}


def state_from_proto(state: "incidents_pb2.Incident.State.ValueType") -> State | None:
    """The state that is meant; None for unspecified."""
    return _BY_PROTO.get(state)


def incident_to_proto(incident: Incident, *, whole: bool) -> incidents_pb2.Incident:
    """The incident as the API shows it; unless ``whole``, without what may be long."""
    evidence = incident.evidence
    message = incidents_pb2.Incident(
        name=str(incident.name),
        deployment=str(DeploymentName(incident.project, incident.deployment)),
        kind=_KINDS[incident.kind],
        state=_STATES[incident.state],
        reason=incident.reason,
        create_time=_time(incident.create_time),
        end_time=_time(incident.end_time),
        acknowledged_by=incident.acknowledged_by,
        resolved_by=incident.resolved_by,
        note=incident.note,
        versions=[
            incidents_pb2.IncidentVersion(
                part=each.part, model_version=each.model_version, model_digest=each.model_digest
            )
            for each in evidence.versions
        ],
    )
    if whole:
        message.requests.extend(_request(request) for request in evidence.requests)
        message.timeline.extend(_event(event) for event in incident.timeline)
        message.events_left_out = incident.events_left_out
        message.drifted.extend(feature_to_proto(each) for each in evidence.drifted)
        if evidence.measured is not None:
            message.measurements.CopyFrom(_measurements(evidence.measured))
        if evidence.rules is not None:
            message.rules.CopyFrom(guard_to_proto(evidence.rules))
    return message


def _request(request: AskedRequest) -> incidents_pb2.IncidentRequest:
    return incidents_pb2.IncidentRequest(
        request_id=request.request_id,
        client_request_id=request.client_request_id,
        caller=request.caller,
        end_time=_time(request.end_time),
        latency_ms=request.latency_ms,
        reason=request.reason,
        message=request.message,
    )


def _event(event: Event) -> incidents_pb2.IncidentEvent:
    return incidents_pb2.IncidentEvent(time=_time(event.time), what=event.what, actor=event.actor)


def _measurements(measured: Measured) -> incidents_pb2.IncidentMeasurements:
    return incidents_pb2.IncidentMeasurements(
        window_ms=round(measured.seconds * 1000),
        answered=measured.answered,
        failed=measured.failed,
        error_rate=measured.error_rate,
        p50_ms=measured.p50_s * 1000,
        p95_ms=measured.p95_s * 1000,
        p99_ms=measured.p99_s * 1000,
        compared=measured.compared,
        agreed=measured.agreed,
    )


def _time(time: datetime.datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
