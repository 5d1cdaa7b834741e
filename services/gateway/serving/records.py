"""The pages about requests: their list, and what is recorded of one."""

import asyncio
import itertools
import json
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater import inference_records
from headwater.client import Connection
from headwater.errors import HeadwaterError, InvalidArgument
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, feedback_pb2
from headwater.names import DeploymentName, InferenceRecordName, ProjectName
from services.gateway.explained import explained
from services.gateway.listing import Listing, listed
from services.gateway.pages import page
from services.gateway.serving import standings
from services.gateway.serving.bodies import tables
from services.gateway.serving.paths import RECORD, RECORDS

_LISTED: Final = 50
_SAID: Final = 50


class RecordPages:
    """Pages over the inference service, read in the caller's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The pages."""
        return [
            Route(RECORDS, explained(self.project), methods=["GET"]),
            Route(RECORD, explained(self.record), methods=["GET"]),
        ]

    async def project(self, request: Request) -> Response:
        """The requests to a project's deployments, newest first: ``?deployment=`` to one of them."""
        name = ProjectName(request.path_params["project"])
        asked = {"deployment": request.query_params.get("deployment", "").strip()}
        token = request.query_params.get("page", "")
        found = await asyncio.to_thread(self._found, name, asked["deployment"], token)
        values = {"project": name, "asked": asked, "found": found, "began": bool(token), "standings": standings}
        return page("serving/records.html", found.status, **values)

    async def record(self, request: Request) -> Response:
        """One request: what was asked and answered, by which version, and what turned out to be true."""
        name = InferenceRecordName(**request.path_params)
        return page("serving/record.html", name=name, **await asyncio.to_thread(self._record, name))

    def _found(self, project: ProjectName, deployment: str, token: str) -> Listing:
        try:
            of = str(DeploymentName(project.project, deployment)) if deployment else ""
        except InvalidArgument as error:
            return Listing(refused=error.message)
        request = deployments_pb2.ListInferenceRecordsRequest(
            parent=str(project), deployment=of, page_size=_LISTED, page_token=token
        )
        return listed(self._records.ListInferenceRecords, request, "inference_records")

    def _record(self, name: InferenceRecordName) -> dict[str, Any]:
        record = inference_records.get(self._connection, name, with_bodies=True)
        rules = self._rules(record.deployment)
        said = list(itertools.islice(inference_records.history(self._connection, name), _SAID))
        return {
            "record": record,
            "standing": standings.of_result(record.result_code),
            "asked": tables(record.request_body, record.redacted, rules.recording.inputs),
            "answered": tables(record.response_body, record.redacted, rules.recording.outputs),
            "said": [(each, _truth(each)) for each in said],
            "limit": _SAID,
        }

    def _rules(self, deployment: str) -> deployments_pb2.Deployment:
        """The deployment as it is now, which names columns; an empty one where it cannot be told."""
        stub = deployments_pb2_grpc.DeploymentServiceStub(self._connection.channel("inference"))
        try:
            return stub.GetDeployment(deployments_pb2.GetDeploymentRequest(name=deployment))
        except HeadwaterError:  # numbers stand for the names then, and what was left out by name hides its tensor
            return deployments_pb2.Deployment()

    @property
    def _records(self) -> deployments_pb2_grpc.InferenceRecordServiceStub:
        return deployments_pb2_grpc.InferenceRecordServiceStub(self._connection.channel("inference"))


def _truth(said: feedback_pb2.InferenceFeedback) -> str:
    """A ground truth as JSON; empty for none."""
    if not said.HasField("ground_truth"):
        return ""
    return json.dumps(MessageToDict(said)["groundTruth"], ensure_ascii=False)
