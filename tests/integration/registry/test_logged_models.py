"""Logged models over gRPC: what the edge takes and what it refuses."""

import pytest
from google.protobuf import timestamp_pb2

from chassis import Service
from chassis.auth import Role
from chassis.testing import Connect
from headwater.errors import InvalidArgument
from headwater.registry.v1 import logged_models_pb2, logged_models_pb2_grpc
from tests.integration.registry.client import DEFAULT

Metric = logged_models_pb2.LoggedModelMetric
Timestamp = timestamp_pb2.Timestamp


@pytest.fixture
def logged_models(registry: Service, connect: Connect) -> "logged_models_pb2_grpc.LoggedModelServiceAsyncStub":
    """A writer's stub."""
    return logged_models_pb2_grpc.LoggedModelServiceStub(connect(registry.address, Role.WRITER))


async def test_a_metric_is_recorded_or_refused_whatever_its_time_and_names(
    logged_models: "logged_models_pb2_grpc.LoggedModelServiceAsyncStub",
) -> None:
    """Promise 16."""
    said = logged_models_pb2.LoggedModel(display_name="cnn")
    made = await logged_models.CreateLoggedModel(
        logged_models_pb2.CreateLoggedModelRequest(parent=DEFAULT, logged_model=said)
    )
    rare = "".join(chr(0x20000 + number * 7919 % 0xA000) for number in range(500))
    for refused in (
        Metric(key="loss", time=Timestamp(seconds=2**62)),
        Metric(key="loss", time=Timestamp(seconds=10**12)),
        Metric(key="loss", time=Timestamp(nanos=-1)),
        Metric(key="loss", data_name=rare),
        Metric(key=rare[:255], data_name=rare[:254]),
        Metric(key="loss", data_digest="x"),
    ):
        request = logged_models_pb2.LogToLoggedModelRequest(name=made.name, metrics=[refused])
        with pytest.raises(InvalidArgument):
            await logged_models.LogToLoggedModel(request)
    taken = [
        Metric(key="k" * 255, value=1, data_name="d" * 500, data_digest="x" * 255, time=Timestamp(seconds=5)),
        Metric(key="loss", value=1, step=-(2**63), data_name=rare[:490], time=Timestamp(seconds=-1, nanos=1000)),
    ]
    request = logged_models_pb2.LogToLoggedModelRequest(name=made.name, metrics=taken)
    assert list((await logged_models.LogToLoggedModel(request)).metrics) == taken
