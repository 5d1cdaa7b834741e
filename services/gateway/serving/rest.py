"""What is served as JSON in the shape of its protos. A resource's path is ``/api/v1/`` and its name."""

from collections.abc import Mapping
from typing import Final

from starlette.routing import Route

from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.incidents import STATES
from headwater.inference.v1 import (
    deployments_pb2,
    deployments_pb2_grpc,
    drift_pb2,
    drift_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    incidents_pb2,
    incidents_pb2_grpc,
    rollouts_pb2,
    rollouts_pb2_grpc,
)
from headwater.names import DeploymentName, IncidentName, InferenceRecordName, ProjectName, RolloutName
from services.gateway.methods import API, Answer, listed, one
from services.gateway.serving.paths import (
    DEPLOYMENT,
    DEPLOYMENTS,
    INCIDENT,
    INCIDENTS,
    RECORD,
    RECORDS,
    ROLLOUT,
    ROLLOUTS,
)

_YES: Final[Mapping[str, bool]] = {"1": True, "true": True, "0": False, "false": False, "": False}


class ServingRest:
    """REST over the inference service, in the caller's name. Lists take ``page_size`` and ``page_token``; incidents and
    records ``deployment``, a resource name; incidents ``state``; drift ``version``; a record ``with_bodies``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The resources."""
        inference = self._connection.channel("inference")
        deployments = deployments_pb2_grpc.DeploymentServiceStub(inference)
        rollouts = rollouts_pb2_grpc.RolloutServiceStub(inference)
        traffic = rollouts_pb2_grpc.TrafficServiceStub(inference)
        drift = drift_pb2_grpc.DriftServiceStub(inference)
        incidents = incidents_pb2_grpc.IncidentServiceStub(inference)
        records = deployments_pb2_grpc.InferenceRecordServiceStub(inference)
        feedback = feedback_pb2_grpc.InferenceFeedbackServiceStub(inference)
        of_one = {"deployment": str}
        answers: dict[str, Answer] = {
            DEPLOYMENTS: listed(ProjectName, deployments.ListDeployments, deployments_pb2.ListDeploymentsRequest),
            DEPLOYMENT: one(DeploymentName, deployments.GetDeployment, deployments_pb2.GetDeploymentRequest),
            f"{DEPLOYMENT}/traffic": one(DeploymentName, traffic.GetTraffic, rollouts_pb2.GetTrafficRequest),
            f"{DEPLOYMENT}/drift": one(DeploymentName, drift.GetDrift, drift_pb2.GetDriftRequest, {"version": str}),
            ROLLOUTS: listed(DeploymentName, rollouts.ListRollouts, rollouts_pb2.ListRolloutsRequest),
            ROLLOUT: one(RolloutName, rollouts.GetRollout, rollouts_pb2.GetRolloutRequest),
            INCIDENTS: listed(
                ProjectName, incidents.ListIncidents, incidents_pb2.ListIncidentsRequest, {**of_one, "state": _state}
            ),
            INCIDENT: one(IncidentName, incidents.GetIncident, incidents_pb2.GetIncidentRequest),
            RECORDS: listed(
                ProjectName, records.ListInferenceRecords, deployments_pb2.ListInferenceRecordsRequest, of_one
            ),
            RECORD: one(
                InferenceRecordName,
                records.GetInferenceRecord,
                deployments_pb2.GetInferenceRecordRequest,
                {"with_bodies": _yes},
            ),
            f"{RECORD}/feedback": listed(InferenceRecordName, feedback.ListFeedback, feedback_pb2.ListFeedbackRequest),
        }
        return [Route(API + path, answer, methods=["GET"]) for path, answer in answers.items()]


def _state(text: str) -> int:
    """``open`` or ``STATE_OPEN``, as the answers have it."""
    word = text.lower().removeprefix("state_")
    if word not in STATES:
        raise InvalidArgument(f"state must be one of {', '.join(STATES)}.", field="state")
    return incidents_pb2.Incident.State.Value(f"STATE_{word.upper()}")


def _yes(text: str) -> bool:
    if text.lower() not in _YES:
        raise InvalidArgument("with_bodies must be true or false.", field="with_bodies")
    return _YES[text.lower()]
