"""How far what is asked and answered has gone from what a model was trained on, from Python."""

from google.protobuf.field_mask_pb2 import FieldMask

from headwater.client import Connection
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, drift_pb2, drift_pb2_grpc
from headwater.names import DeploymentName


def get(connection: Connection, name: DeploymentName, version: str = "") -> drift_pb2.DeploymentDrift:
    """What the replica that answers has found of each version of a deployment, or of the one with this number.

    Raises:
        NotFound: there is no such deployment, or it does not serve this version.
    """
    stub = drift_pb2_grpc.DriftServiceStub(connection.channel("inference"))
    return stub.GetDrift(drift_pb2.GetDriftRequest(name=str(name), version=version))


def watch(connection: Connection, name: DeploymentName, rules: drift_pb2.Drift, *, etag: str = "") -> drift_pb2.Drift:
    """Watch drift by these rules and no others from now on; returns them with their defaults filled in.

    Raises:
        NotFound
        Aborted: ``etag`` is given and is not the deployment's current one.
        InvalidArgument: the rules contradict themselves.
    """
    watched = drift_pb2.Drift()
    watched.CopyFrom(rules)
    watched.enabled = True
    return _update(connection, name, watched, etag)


def stop(connection: Connection, name: DeploymentName, *, etag: str = "") -> None:
    """Watch it no longer. Raises as :func:`watch`."""
    _update(connection, name, drift_pb2.Drift(), etag)


def _update(connection: Connection, name: DeploymentName, rules: drift_pb2.Drift, etag: str) -> drift_pb2.Drift:
    stub = deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference"))
    deployment = deployments_pb2.Deployment(name=str(name), drift=rules, etag=etag)
    request = deployments_pb2.UpdateDeploymentRequest(deployment=deployment, update_mask=FieldMask(paths=["drift"]))
    return stub.UpdateDeployment(request).drift
