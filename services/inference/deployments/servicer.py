"""DeploymentService: convert, call, convert."""

from typing import Any

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DeploymentName, ProjectName, check_version
from services.inference.deployments import convert
from services.inference.deployments.deployments import Deployments, Origin
from services.inference.deployments.model import Deployment
from services.inference.deployments.serving import Serving
from services.inference.guard.rollback import Rollbacks
from services.inference.models.convert import selector_from_proto


class DeploymentServicer(deployments_pb2_grpc.DeploymentServiceServicer):
    """See protos/headwater/inference/v1/deployments.proto."""

    def __init__(self, deployments: Deployments, serving: Serving, rollbacks: Rollbacks) -> None:
        self._deployments = deployments
        self._rollbacks = rollbacks
        self._serving = serving

    async def CreateDeployment(
        self, request: deployments_pb2.CreateDeploymentRequest, _context: Any
    ) -> deployments_pb2.Deployment:
        """See the proto."""
        project = ProjectName.parse(request.parent, "parent").project
        created = await self._deployments.create(
            DeploymentName(project, request.deployment_id),
            convert.model_from_proto(request.deployment),
            selector_from_proto(request.deployment, "deployment"),
            convert.options_from_proto(request.deployment),
            Origin(current_principal().subject, request.request_id, body_digest(request)),
        )
        return self._to_proto(created)

    async def GetDeployment(
        self, request: deployments_pb2.GetDeploymentRequest, _context: Any
    ) -> deployments_pb2.Deployment:
        """See the proto."""
        return self._to_proto(await self._deployments.get(DeploymentName.parse(request.name)))

    async def ListDeployments(
        self, request: deployments_pb2.ListDeploymentsRequest, _context: Any
    ) -> deployments_pb2.ListDeploymentsResponse:
        """See the proto."""
        project = ProjectName.parse(request.parent, "parent").project
        page = await self._deployments.page(project, request.page_size, request.page_token)
        return deployments_pb2.ListDeploymentsResponse(
            deployments=[self._to_proto(deployment) for deployment in page.items], next_page_token=page.next_page_token
        )

    async def UpdateDeployment(
        self, request: deployments_pb2.UpdateDeploymentRequest, _context: Any
    ) -> deployments_pb2.Deployment:
        """See the proto."""
        wanted = request.deployment
        name = DeploymentName.parse(wanted.name, "deployment.name")
        selector, options = convert.changes_from_proto(wanted, request.update_mask.paths)
        changed = await self._deployments.update(name, wanted.etag, selector=selector, options=options)
        return self._to_proto(changed)

    async def RollBackDeployment(
        self, request: deployments_pb2.RollBackDeploymentRequest, _context: Any
    ) -> deployments_pb2.Deployment:
        """See the proto."""
        deployment = await self._deployments.get(DeploymentName.parse(request.name))
        number = check_version(request.version) if request.version else ""
        await self._rollbacks.roll_back(deployment, number, request.reason, current_principal().subject)
        return self._to_proto(deployment)

    async def ResumeDeployment(
        self, request: deployments_pb2.ResumeDeploymentRequest, _context: Any
    ) -> deployments_pb2.Deployment:
        """See the proto."""
        deployment = await self._deployments.get(DeploymentName.parse(request.name))
        await self._rollbacks.resume(deployment, current_principal().subject)
        return self._to_proto(deployment)

    async def ArchiveDeployment(
        self, request: deployments_pb2.ArchiveDeploymentRequest, _context: Any
    ) -> deployments_pb2.Deployment:
        """See the proto."""
        return self._to_proto(await self._deployments.archive(DeploymentName.parse(request.name), request.etag))

    def _to_proto(self, deployment: Deployment) -> deployments_pb2.Deployment:
        return convert.deployment_to_proto(deployment, self._serving.status(deployment))
