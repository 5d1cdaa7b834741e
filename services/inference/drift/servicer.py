"""DriftService: convert, call, convert."""

from typing import Any

from headwater.inference.v1 import drift_pb2, drift_pb2_grpc
from headwater.names import DeploymentName
from services.inference.deployments.deployments import Deployments
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.serving import Serving
from services.inference.drift.convert import watched_to_proto
from services.inference.drift.monitor import Monitor
from services.inference.errors import VersionNotServed


class DriftServicer(drift_pb2_grpc.DriftServiceServicer):
    """See protos/headwater/inference/v1/drift.proto."""

    def __init__(self, deployments: Deployments, serving: Serving, monitor: Monitor) -> None:
        self._deployments = deployments
        self._serving = serving
        self._monitor = monitor

    async def GetDrift(self, request: drift_pb2.GetDriftRequest, _context: Any) -> drift_pb2.DeploymentDrift:
        """See the proto."""
        deployment = await self._deployments.get(DeploymentName.parse(request.name))
        message = drift_pb2.DeploymentDrift(name=str(deployment.name), enabled=deployment.options.drift.enabled)
        follower = self._serving.follower_of(deployment.uid)
        versions = follower.versions() if follower is not None else ()
        if request.version and request.version not in [each.version_number for each in versions]:
            served = ", ".join(each.version_number for each in versions) or "none"
            raise VersionNotServed(served=served, version=request.version, model=deployment.served_name)
        if deployment.options.drift.enabled:
            chosen = [each for each in versions if request.version in ("", each.version_number)]
            message.versions.extend(self._version(each) for each in chosen)
        return message

    def _version(self, loaded: Loaded) -> drift_pb2.VersionDrift:
        watched = self._monitor.watched(loaded)
        if watched is not None:
            return watched_to_proto(watched)
        return drift_pb2.VersionDrift(
            model_version=loaded.served.model_version,
            model_digest=loaded.version.digest,
            note=self._monitor.why_not(loaded) or "It is about to be watched.",
        )
