"""Everything that can be called on a running platform, found by asking it."""

import dataclasses
from collections.abc import Iterator

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from chassis.auth import Role
from headwater import rpc
from headwater.auth.v1 import auth_pb2
from tests.platform import Platform

PUBLIC_SERVICES = {"grpc.health.v1.Health"}
"""Answers without credentials: it tells only whether the process serves."""


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """One gRPC method of one running service."""

    service: str
    """The Headwater service, for example ``registry``."""
    address: str
    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        """``/package.Service/Method``."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def role(self) -> Role | None:
        """The role that the proto names; None where the proto is not ours."""
        declared = self.descriptor.GetOptions().Extensions[auth_pb2.role]
        return Role(declared) if declared else None


def methods(platform: Platform) -> Iterator[Method]:
    """Every gRPC method of every service but the public ones, by server reflection."""
    pool = descriptor_pool.Default()
    for name, service in platform.services.items():
        with rpc.channel(service.address, token=platform.token_for(Role.READER)) as channel:
            listed = ProtoReflectionDescriptorDatabase(channel).get_services()
        for full_name in set(listed) - PUBLIC_SERVICES:
            for descriptor in pool.FindServiceByName(full_name).methods:
                yield Method(name, service.address, descriptor)
