"""TrafficService: convert, call, convert."""

from typing import Any

from headwater.inference.v1 import rollouts_pb2, rollouts_pb2_grpc, routing_pb2
from headwater.names import DeploymentName
from services.inference.deployments.deployments import Deployments
from services.inference.deployments.follower import Follower
from services.inference.deployments.serving import Serving
from services.inference.deployments.target import Target
from services.inference.guard.breaker import Position
from services.inference.traffic.comparison import Comparisons
from services.inference.traffic.compatibility import answers_for
from services.inference.traffic.options import MAIN, Role

_Role = routing_pb2.Variant.Role
_Breaker = rollouts_pb2.TrafficTarget.Breaker
_BREAKERS = {
    Position.CLOSED: _Breaker.BREAKER_CLOSED,
    Position.HALF_OPEN: _Breaker.BREAKER_HALF_OPEN,
    Position.OPEN: _Breaker.BREAKER_OPEN,
}


class TrafficServicer(rollouts_pb2_grpc.TrafficServiceServicer):
    """See protos/headwater/inference/v1/rollouts.proto."""

    def __init__(self, deployments: Deployments, serving: Serving) -> None:
        self._deployments = deployments
        self._serving = serving

    async def GetTraffic(self, request: rollouts_pb2.GetTrafficRequest, _context: Any) -> rollouts_pb2.Traffic:
        """See the proto."""
        deployment = await self._deployments.get(DeploymentName.parse(request.name))
        follower = self._serving.follower_of(deployment.uid)
        targets = [] if follower is None else [_target_to_proto(follower, target) for target in follower.targets]
        return rollouts_pb2.Traffic(name=str(deployment.name), targets=targets)


def _target_to_proto(follower: Follower, target: Target) -> rollouts_pb2.TrafficTarget:
    variant = next((each for each in follower.routing.variants if each.name == target.name), None)
    message = rollouts_pb2.TrafficTarget(
        name=target.name,
        role=_Role.ROLE_SHADOW if variant is not None and variant.role is Role.SHADOW else _Role.ROLE_LIVE,
        failure=target.status.why or _unfit(follower, target),
        model_version=target.status.model_version,
    )
    if variant is not None:
        message.weight_percent = variant.weight_percent
    elif target.name == MAIN:
        message.weight_percent = follower.routing.main_percent
    if (loaded := target.loaded) is not None:
        message.answered_count = loaded.requests.succeeded
        message.errors.update(loaded.requests.failed)
        message.comparison.CopyFrom(_comparison_to_proto(loaded.comparisons))
        message.breaker = _BREAKERS[loaded.watch.breaker.position]
    return message


def _unfit(follower: Follower, target: Target) -> str:
    """Why the version cannot answer the questions that the main one is asked; empty if it can."""
    main, loaded = follower.loaded, target.loaded
    if main is None or loaded is None or answers_for(loaded.signature, main.signature):
        return ""
    return "Its inputs and outputs are not those of the main version, which stands in for it."


def _comparison_to_proto(counts: Comparisons) -> rollouts_pb2.ShadowComparison:
    return rollouts_pb2.ShadowComparison(
        compared_count=counts.compared,
        identical_count=counts.identical,
        agreed_count=counts.agreed,
        largest_difference=counts.largest,
        failed_count=counts.failed,
        dropped_count=counts.dropped,
    )
