"""Which versions answer for a deployment, from Python: variants, shadows, fallbacks, and what each has done."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask

from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, rollouts_pb2, rollouts_pb2_grpc, routing_pb2
from headwater.models import stage
from headwater.names import DeploymentName

_NUMBER = re.compile(r"v?[0-9]+(\.[0-9]+){0,2}", re.ASCII)
_STAGES = frozenset({"production", "staging"})
M = TypeVar("M", deployments_pb2.Deployment, routing_pb2.Variant, routing_pb2.Fallback)


def select(message: M, text: str) -> M:
    """``message`` with the version that ``text`` means: ``3`` or ``v1.2.3`` is a version, ``production`` and
    ``staging`` are stages, anything else is an alias."""
    if _NUMBER.fullmatch(text):
        message.version = text
    elif text.lower() in _STAGES:
        message.stage = stage(text)
    else:
        message.alias = text
    return message


def variant(name: str, version: str, weight_percent: float, *, shadow: bool = False) -> routing_pb2.Variant:
    """A variant that answers this share of the requests or, as a shadow, gets copies of it; see :func:`select`."""
    role = routing_pb2.Variant.ROLE_SHADOW if shadow else routing_pb2.Variant.ROLE_LIVE
    return select(routing_pb2.Variant(name=name, role=role, weight_percent=weight_percent), version)


def fallback(text: str) -> routing_pb2.Fallback:
    """A version of the same model, as :func:`select` reads it, or ``deployment:name`` for another deployment."""
    if text.startswith("deployment:"):
        return routing_pb2.Fallback(deployment=text.removeprefix("deployment:"))
    return select(routing_pb2.Fallback(), text)


def parse_variant(text: str, *, shadow: bool = False) -> routing_pb2.Variant:
    """``challenger=3:10`` is a variant of that name with version 3 and 10 percent.

    Raises:
        InvalidArgument: the text is not of this form.
    """
    name, equals, rest = text.partition("=")
    version, colon, percent = rest.rpartition(":")
    try:
        if name and equals and version and colon:
            return variant(name, version, float(percent.removesuffix("%")), shadow=shadow)
    except ValueError:
        pass
    raise InvalidArgument(
        f"{text!r} must be NAME=VERSION:PERCENT, challenger=3:10 or challenger=staging:2.5 for example.",
        field="shadow" if shadow else "variant",
    )


def route(
    connection: Connection,
    name: DeploymentName,
    variants: Sequence[routing_pb2.Variant] = (),
    fallbacks: Sequence[routing_pb2.Fallback] = (),
    *,
    sticky_by_caller: bool = False,
    tolerance: float = 0.0,
    etag: str = "",
) -> deployments_pb2.Deployment:
    """Share out the requests in this way from now on, and in no other; with nothing given the main version answers all.

    Raises:
        InvalidArgument: the shares are more than all, or two variants have one name.
        Aborted: ``etag`` is given and is not the current one.
    """
    routing = routing_pb2.Routing(
        variants=variants, fallbacks=fallbacks, sticky_by_caller=sticky_by_caller, tolerance=tolerance
    )
    deployment = deployments_pb2.Deployment(name=str(name), routing=routing, etag=etag)
    return _update(connection, deployment, "routing")


def serve(connection: Connection, name: DeploymentName, version: str, *, etag: str = "") -> deployments_pb2.Deployment:
    """Let another version, stage or alias be the main one, as :func:`select` reads it."""
    deployment = select(deployments_pb2.Deployment(name=str(name), etag=etag), version)
    return _update(connection, deployment, "selector")


def get(connection: Connection, name: DeploymentName) -> rollouts_pb2.Traffic:
    """What each version has done since the replica that answers has loaded it."""
    stub = rollouts_pb2_grpc.TrafficServiceStub(connection.channel("inference"))
    return stub.GetTraffic(rollouts_pb2.GetTrafficRequest(name=str(name)))


def _update(connection: Connection, deployment: Any, path: str) -> deployments_pb2.Deployment:
    stub = deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference"))
    request = deployments_pb2.UpdateDeploymentRequest(deployment=deployment, update_mask=FieldMask(paths=[path]))
    return stub.UpdateDeployment(request)
