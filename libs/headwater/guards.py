"""How deployments defend themselves, from Python: when a version is not asked any more, and when it gives way."""

from collections.abc import Iterable

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from headwater.client import Connection
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, guard_pb2
from headwater.names import DeploymentName


def get(connection: Connection, name: DeploymentName) -> guard_pb2.Guard:
    """The rules that hold, defaults filled in; raises NotFound."""
    return _get(_deployments(connection), name).guard


def change(
    connection: Connection,
    name: DeploymentName,
    changes: guard_pb2.Guard,
    *,
    breaker: bool | None = None,
    rollback: bool | None = None,
    defaults: Iterable[str] = (),
) -> guard_pb2.Guard:
    """Put what is set in ``changes`` in the place of what holds, and leave the rest; returns what holds then.

    Rules named by ``defaults``, as ``window_ms`` or ``breaker.max_p99_ms``, hold as if nothing had been said of them.
    ``breaker`` and ``rollback`` switch the breakers, and going back by itself, on or off; None leaves them as they are.

    Raises:
        NotFound
        Aborted: somebody else changed the deployment in this moment.
        InvalidArgument: the rules contradict each other.
    """
    stub = _deployments(connection)
    deployment = _get(stub, name)
    guard = deployment.guard
    if changes.breaker.also_counts:  # these are a set, and not some more
        del guard.breaker.also_counts[:]
    guard.MergeFrom(changes)
    for path in defaults:
        part, _, field = path.rpartition(".")
        holder: Message = getattr(guard, part) if part else guard
        holder.ClearField(field)
    if breaker is not None:
        guard.breaker.disabled = not breaker
    if rollback is not None:
        guard.rollback.disabled = not rollback
    request = deployments_pb2.UpdateDeploymentRequest(
        deployment=deployments_pb2.Deployment(name=str(name), etag=deployment.etag, guard=guard),
        update_mask=FieldMask(paths=["guard"]),
    )
    return stub.UpdateDeployment(request).guard


def _get(stub: deployments_pb2_grpc.DeploymentServiceStub, name: DeploymentName) -> deployments_pb2.Deployment:
    return stub.GetDeployment(deployments_pb2.GetDeploymentRequest(name=str(name)))


def _deployments(connection: Connection) -> deployments_pb2_grpc.DeploymentServiceStub:
    return deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference"))
