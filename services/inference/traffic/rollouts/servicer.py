"""RolloutService: convert, call, convert."""

from typing import Any, TypeAlias

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.inference.v1 import rollouts_pb2, rollouts_pb2_grpc
from headwater.names import DeploymentName, RolloutName
from services.inference.deployments.deployments import Origin
from services.inference.models.convert import selector_from_proto
from services.inference.traffic.rollouts.convert import plan_from_proto, rollout_to_proto
from services.inference.traffic.rollouts.decision import waits_for
from services.inference.traffic.rollouts.driver import Driver
from services.inference.traffic.rollouts.errors import InvalidRollout
from services.inference.traffic.rollouts.model import Evidence, Rollout
from services.inference.traffic.rollouts.rollouts import Rollouts

_Change: TypeAlias = (
    rollouts_pb2.PauseRolloutRequest
    | rollouts_pb2.ResumeRolloutRequest
    | rollouts_pb2.PromoteRolloutRequest
    | rollouts_pb2.AbortRolloutRequest
)


class RolloutServicer(rollouts_pb2_grpc.RolloutServiceServicer):
    """See protos/headwater/inference/v1/rollouts.proto."""

    def __init__(self, rollouts: Rollouts, driver: Driver) -> None:
        self._rollouts = rollouts
        self._driver = driver

    async def StartRollout(self, request: rollouts_pb2.StartRolloutRequest, _context: Any) -> rollouts_pb2.Rollout:
        """See the proto."""
        candidate = request.candidate
        if candidate.name or candidate.role or candidate.weight_percent:
            raise InvalidRollout("candidate says which version, and nothing else.", field="candidate")
        started = await self._rollouts.start(
            DeploymentName.parse(request.parent, "parent"),
            selector_from_proto(candidate, "candidate"),
            plan_from_proto(request.plan),
            Origin(current_principal().subject, request.request_id, body_digest(request)),
        )
        return await self._to_proto(started)

    async def GetRollout(self, request: rollouts_pb2.GetRolloutRequest, _context: Any) -> rollouts_pb2.Rollout:
        """See the proto."""
        return await self._to_proto(await self._rollouts.get(RolloutName.parse(request.name)))

    async def ListRollouts(
        self, request: rollouts_pb2.ListRolloutsRequest, _context: Any
    ) -> rollouts_pb2.ListRolloutsResponse:
        """See the proto."""
        deployment = DeploymentName.parse(request.parent, "parent")
        page = await self._rollouts.page(deployment, request.page_size, request.page_token)
        return rollouts_pb2.ListRolloutsResponse(
            rollouts=[await self._to_proto(rollout) for rollout in page.items], next_page_token=page.next_page_token
        )

    async def PauseRollout(self, request: rollouts_pb2.PauseRolloutRequest, _context: Any) -> rollouts_pb2.Rollout:
        """See the proto."""
        return await self._to_proto(await self._rollouts.pause(*_change(request)))

    async def ResumeRollout(self, request: rollouts_pb2.ResumeRolloutRequest, _context: Any) -> rollouts_pb2.Rollout:
        """See the proto."""
        return await self._to_proto(await self._rollouts.resume(*_change(request)))

    async def PromoteRollout(self, request: rollouts_pb2.PromoteRolloutRequest, _context: Any) -> rollouts_pb2.Rollout:
        """See the proto."""
        return await self._to_proto(await self._rollouts.promote(*_change(request)))

    async def AbortRollout(self, request: rollouts_pb2.AbortRolloutRequest, _context: Any) -> rollouts_pb2.Rollout:
        """See the proto."""
        return await self._to_proto(await self._rollouts.abort(*_change(request)))

    async def _to_proto(self, rollout: Rollout) -> rollouts_pb2.Rollout:
        measured = self._driver.measured(rollout) if rollout.state.active else None
        if measured is None:
            return rollout_to_proto(rollout)
        evidence: Evidence = measured[0]
        # By the clock that the step began by, not by this machine's.
        return rollout_to_proto(rollout, evidence, waits_for(rollout, evidence, await self._rollouts.now()))


def _change(request: _Change) -> tuple[RolloutName, str, str]:
    return RolloutName.parse(request.name), request.etag, current_principal().subject
