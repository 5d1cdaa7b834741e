"""Deployments and records over gRPC: what is refused, and for whom."""

import asyncio
from typing import Any

import pytest

from chassis.auth import Role
from chassis.testing.services import Connect
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import InvalidArgument, NotFound, PermissionDenied
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from tests.integration.inference.conftest import Running

Stage = artifact_pb2.ModelMetadata.Stage
Batching = deployments_pb2.Batching
MODEL = "projects/default/models/digits"
NAME = "projects/default/deployments/digits"


def creating(deployment_id: str = "digits", parent: str = "projects/default", **fields: Any) -> Any:
    deployment = deployments_pb2.Deployment(**{"model": MODEL, **fields})
    return deployments_pb2.CreateDeploymentRequest(parent=parent, deployment_id=deployment_id, deployment=deployment)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "One of stage, alias and version"),
        ({"stage": Stage.STAGE_ARCHIVED}, "staging or production"),
        ({"stage": Stage.STAGE_UNSPECIFIED}, "staging or production"),
        ({"alias": "../x"}, "letters, digits"),
        ({"alias": ""}, "letters, digits"),
        ({"version": "latest"}, "must look like 3"),
        ({"version": "1", "batching": Batching(max_batch_size=-1)}, "max_batch_size"),
        ({"version": "1", "batching": Batching(max_queue_size=2**21)}, "max_queue_size"),
        ({"version": "1", "model": "digits"}, "must look like projects/"),
        ({"version": "1", "model": "projects/other/models/digits"}, "own project"),
    ],
)
async def test_a_deployment_that_makes_no_sense_is_refused(running: Running, fields: Any, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        await running.deployments.CreateDeployment(creating(**fields))
    with pytest.raises(NotFound):
        await running.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))


@pytest.mark.parametrize(
    "name",
    ["", "..", "a/../b", "digits/", "d" * 256, "digité", "digite\u0301", "d\u0456gits", "digits%2f", "a b", "\0"],
)
async def test_bad_names_are_refused_everywhere(running: Running, name: str) -> None:
    """Promise 13."""
    deployments, records = running.deployments, running.inference_records
    full = f"projects/default/deployments/{name}"
    record = f"projects/default/inferenceRecords/{name}"
    calls: list[Any] = [
        deployments.CreateDeployment(creating(name, version="1")),
        deployments.CreateDeployment(creating(parent=f"projects/{name}", version="1")),
        deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=full)),
        deployments.UpdateDeployment(
            deployments_pb2.UpdateDeploymentRequest(deployment=deployments_pb2.Deployment(name=full, version="1"))
        ),
        deployments.ArchiveDeployment(deployments_pb2.ArchiveDeploymentRequest(name=full)),
        deployments.ListDeployments(deployments_pb2.ListDeploymentsRequest(parent=f"projects/{name}")),
        records.GetInferenceRecord(deployments_pb2.GetInferenceRecordRequest(name=record)),
        records.ListInferenceRecords(deployments_pb2.ListInferenceRecordsRequest(parent=f"projects/{name}")),
    ]
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, InvalidArgument)


@pytest.mark.parametrize("token", ["garbage", "WyIxIiwyXQ", "x" * 4000])
async def test_a_page_token_of_somebody_else_is_refused(running: Running, token: str) -> None:
    parent = "projects/default"
    calls: list[Any] = [
        running.deployments.ListDeployments(deployments_pb2.ListDeploymentsRequest(parent=parent, page_token=token)),
        running.inference_records.ListInferenceRecords(
            deployments_pb2.ListInferenceRecordsRequest(parent=parent, page_token=token)
        ),
    ]
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, InvalidArgument)
        assert result.reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize("path", ["model", "state", "batching.max_batch_size", "*"])
async def test_what_cannot_change_is_named(running: Running, path: str) -> None:
    await running.deployments.CreateDeployment(creating(version="1"))
    request = deployments_pb2.UpdateDeploymentRequest(deployment=deployments_pb2.Deployment(name=NAME, version="2"))
    request.update_mask.paths.append(path)
    with pytest.raises(InvalidArgument, match="What can be changed is: selector, batching") as refused:
        await running.deployments.UpdateDeployment(request)
    assert refused.value.metadata["path"] == path


async def test_a_reader_changes_nothing(running: Running, connect: Connect) -> None:
    reader = deployments_pb2_grpc.DeploymentServiceStub(connect(running.service.address, Role.READER))
    await running.deployments.CreateDeployment(creating(version="1"))
    await reader.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))
    calls: list[Any] = [
        reader.CreateDeployment(creating("other", version="1")),
        reader.UpdateDeployment(
            deployments_pb2.UpdateDeploymentRequest(deployment=deployments_pb2.Deployment(name=NAME, version="2"))
        ),
        reader.ArchiveDeployment(deployments_pb2.ArchiveDeploymentRequest(name=NAME)),
    ]
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, PermissionDenied)
