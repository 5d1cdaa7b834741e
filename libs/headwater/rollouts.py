"""Rollouts from Python: a version takes over a deployment by steps while its objectives hold, or goes back."""

import time
import uuid
from collections.abc import Sequence

from headwater.client import Connection
from headwater.errors import DeadlineExceeded, NotFound
from headwater.inference.v1 import rollouts_pb2, rollouts_pb2_grpc, routing_pb2
from headwater.inference.v1.rollouts_pb2 import Rollout, RolloutStep
from headwater.names import DeploymentName, RolloutName
from headwater.traffic import select

_POLL_S = 0.5
ACTIVE = frozenset({Rollout.STATE_RUNNING, Rollout.STATE_PAUSED})


class NoRollout(NotFound):
    """No version was ever rolled out to the deployment."""

    reason = "ROLLOUT_NOT_FOUND"


def start(
    connection: Connection,
    deployment: DeploymentName,
    version: str,
    steps: Sequence[RolloutStep] = (),
    *,
    max_error_rate: float | None = None,
    max_p99_ms: float | None = None,
    min_agreement: float | None = None,
    max_drift_psi: float | None = None,
    shadow_percent: float = 0.0,
) -> Rollout:
    """Roll out the version that ``version`` stands for now: a number, a stage or an alias.

    Without ``steps`` it gets 1, 5, 25 and 50 percent, each for 100 requests and a minute at least; without objectives
    one request in a hundred may fail.

    Raises:
        FailedPrecondition: another version is being rolled out (ROLLOUT_ACTIVE), or this one may not be served.
        InvalidArgument: the plan contradicts itself.
        NotFound: there is no such deployment or version.
    """
    objectives = rollouts_pb2.RolloutObjectives(
        max_error_rate=max_error_rate,
        max_p99_ms=max_p99_ms,
        min_agreement=min_agreement,
        max_drift_psi=max_drift_psi,
    )
    request = rollouts_pb2.StartRolloutRequest(
        parent=str(deployment),
        candidate=select(routing_pb2.Variant(), version),
        plan=rollouts_pb2.RolloutPlan(steps=steps, objectives=objectives, shadow_percent=shadow_percent),
        request_id=str(uuid.uuid4()),
    )
    return _rollouts(connection).StartRollout(request)


def get(connection: Connection, name: RolloutName) -> Rollout:
    """One rollout, with its events."""
    return _rollouts(connection).GetRollout(rollouts_pb2.GetRolloutRequest(name=str(name)))


def find(connection: Connection, deployment: DeploymentName, *, limit: int = 50) -> Sequence[Rollout]:
    """The newest rollouts to a deployment, newest first."""
    request = rollouts_pb2.ListRolloutsRequest(parent=str(deployment), page_size=limit)
    return _rollouts(connection).ListRollouts(request).rollouts


def latest(connection: Connection, deployment: DeploymentName) -> Rollout:
    """The newest rollout to a deployment; raises NoRollout."""
    found = find(connection, deployment, limit=1)
    if not found:
        raise NoRollout(f"Nothing was ever rolled out to {deployment}.", deployment=deployment)
    return found[0]


def pause(connection: Connection, name: RolloutName, *, etag: str = "") -> Rollout:
    """Go no step further until :func:`resume`. Objectives that do not hold still end it."""
    return _rollouts(connection).PauseRollout(rollouts_pb2.PauseRolloutRequest(name=str(name), etag=etag))


def resume(connection: Connection, name: RolloutName, *, etag: str = "") -> Rollout:
    """Go on after a pause."""
    return _rollouts(connection).ResumeRollout(rollouts_pb2.ResumeRolloutRequest(name=str(name), etag=etag))


def promote(connection: Connection, name: RolloutName, *, etag: str = "") -> Rollout:
    """End it now with success: the version becomes the deployment's own."""
    return _rollouts(connection).PromoteRollout(rollouts_pb2.PromoteRolloutRequest(name=str(name), etag=etag))


def abort(connection: Connection, name: RolloutName, *, etag: str = "") -> Rollout:
    """End it now: all requests go where they went before."""
    return _rollouts(connection).AbortRollout(rollouts_pb2.AbortRolloutRequest(name=str(name), etag=etag))


def wait(connection: Connection, name: RolloutName, *, timeout_s: float = 86_400.0) -> Rollout:
    """Return the rollout when it has ended; its state says how. Raises DeadlineExceeded after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while (rollout := get(connection, name)).state in ACTIVE:
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"{name} has not ended within {timeout_s:g} s.", rollout=name)
        time.sleep(_POLL_S)
    return rollout


def _rollouts(connection: Connection) -> rollouts_pb2_grpc.RolloutServiceStub:
    return rollouts_pb2_grpc.RolloutServiceStub(connection.channel("inference"))
