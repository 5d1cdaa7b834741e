"""Tracking and the check of inputs, by the registry and the dataset service."""

from collections.abc import AsyncIterator

import grpc.aio

from chassis.auth import Authenticator, Principal, Role, set_caller
from headwater.artifact.v1 import artifact_pb2
from headwater.dataset.v1 import datasets_pb2, datasets_pb2_grpc, views_pb2, views_pb2_grpc
from headwater.datasets.states import CheckpointHasNoRows, NoRowsStored, check_usable, is_place, newest_copy
from headwater.names import CheckpointName, DatasetVersionName, ProjectName
from headwater.registry.v1 import (
    artifacts_pb2,
    artifacts_pb2_grpc,
    lineage_pb2,
    lineage_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
)
from services.training_scheduler.attempts.tracking import Tracking
from services.training_scheduler.jobs.convert import parameters_to_proto
from services.training_scheduler.jobs.jobs import Catalog, Inputs
from services.training_scheduler.jobs.model import State, TrainingJob, TrainingSpec

_TOKEN_TTL_S = 600.0
_PAGE = 100
_RUN_STATES = {
    State.SUCCEEDED: artifact_pb2.Run.STATE_SUCCEEDED,
    State.FAILED: artifact_pb2.Run.STATE_FAILED,
    State.CANCELLED: artifact_pb2.Run.STATE_CANCELLED,
}


class RegistryTracking(Tracking, Catalog):
    """Both channels carry the token of ``chassis.auth.current_token``: that of the caller while a call is being
    answered, and that of who created the job while it is worked on.
    """

    def __init__(self, registry: grpc.aio.Channel, datasets: grpc.aio.Channel, authenticator: Authenticator) -> None:
        self._artifacts = artifacts_pb2_grpc.ArtifactServiceStub(registry)
        self._runs = runs_pb2_grpc.RunServiceStub(registry)
        self._lineage = lineage_pb2_grpc.LineageServiceStub(registry)
        self._models = models_pb2_grpc.ModelServiceStub(registry)
        self._datasets = datasets_pb2_grpc.DatasetServiceStub(datasets)
        self._views = views_pb2_grpc.DatasetViewServiceStub(datasets)
        self._authenticator = authenticator

    async def check_inputs(self, spec: TrainingSpec) -> Inputs:
        """See Catalog."""
        version = await self._dataset_version(spec)
        warnings = check_usable(version)
        checkpoint = spec.dataset_checkpoint
        if checkpoint:
            await self._copy(version.name, checkpoint)
        elif is_place(version):
            checkpoint = await self._newest_copy(version.name)
        await self._artifacts.GetArtifact(artifacts_pb2.GetArtifactRequest(name=spec.code))
        return Inputs(checkpoint, warnings)

    async def begin(self, job: TrainingJob) -> str:
        """See Tracking."""
        self._act_for(job)
        version = await self._dataset_version(job.spec)
        check_usable(version)
        # Which copy of a place was read, its version does not tell; rows that are stored are the same in all of them.
        data = _data_node(version)
        if is_place(version):
            data = _copy_node(await self._copy(version.name, job.spec.dataset_checkpoint))
        code = await self._artifacts.GetArtifact(artifacts_pb2.GetArtifactRequest(name=job.spec.code))
        run = artifact_pb2.Run(
            display_name=job.display_name, parameters=parameters_to_proto(job.spec.parameters), job=job.name
        )
        project = str(ProjectName(job.project))
        run = await self._runs.CreateRun(runs_pb2.CreateRunRequest(parent=project, run=run, request_id=f"{job.id}-run"))
        await self._lineage.CreateConnections(
            lineage_pb2.CreateConnectionsRequest(
                parent=project,
                artifacts=[data, _code_node(code)],
                connections=[
                    _into_run(data.data_metadata.name, run.name, artifact_pb2.ArtifactConnection.ROLE_INPUT),
                    _into_run(code.name, run.name, artifact_pb2.ArtifactConnection.ROLE_EXECUTABLE),
                ],
            )
        )
        return run.name

    async def code(self, job: TrainingJob) -> AsyncIterator[bytes]:
        """See Tracking."""
        self._act_for(job)
        async for part in self._artifacts.DownloadArtifact(artifacts_pb2.DownloadArtifactRequest(name=job.spec.code)):
            yield part.data

    async def finish(self, job: TrainingJob) -> None:
        """See Tracking."""
        self._act_for(job)
        assert job.outcome is not None
        request = runs_pb2.FinishRunRequest(
            name=job.run, state=_RUN_STATES[job.outcome], failure=job.failure.text if job.failure else ""
        )
        await self._runs.FinishRun(request)

    async def register(self, job: TrainingJob) -> str:
        """See Tracking."""
        self._act_for(job)
        assert job.result is not None
        files = [models_pb2.ModelFileReference(path=file.path, artifact=file.artifact) for file in job.result.files]
        request = models_pb2.CreateModelVersionRequest(
            parent=job.spec.model,
            files=files,
            run=job.run,
            framework=artifact_pb2.Framework(name=job.result.framework, version=job.result.framework_version),
            architecture=job.result.architecture,
            request_id=f"{job.id}-model",
        )
        return (await self._models.CreateModelVersion(request)).name

    async def _copy(self, version: str, checkpoint: str) -> views_pb2.DatasetCheckpoint:
        request = views_pb2.GetCheckpointRequest(name=f"{version}/checkpoints/{checkpoint}")
        found = await self._views.GetCheckpoint(request)
        if newest_copy([found]) is None:
            raise CheckpointHasNoRows(checkpoint=found.name)
        return found

    async def _newest_copy(self, version: str) -> str:
        """The last segment of its name, or NoRowsStored: nobody could say later what rows that may change were."""
        request = views_pb2.ListCheckpointsRequest(parent=version, page_size=_PAGE)
        while True:
            page = await self._views.ListCheckpoints(request)
            found = newest_copy(page.checkpoints)
            if found is not None:
                return found.name.rpartition("/")[2]
            if not page.next_page_token:
                raise NoRowsStored(version=version)
            request.page_token = page.next_page_token

    async def _dataset_version(self, spec: TrainingSpec) -> datasets_pb2.DatasetVersion:
        request = datasets_pb2.GetDatasetVersionRequest(name=spec.dataset_version)
        return await self._datasets.GetDatasetVersion(request)

    def _act_for(self, job: TrainingJob) -> None:
        """Let this task's calls be those of who created the job: their rights, and their name in the history."""
        roles = [Role.WRITER]
        token = self._authenticator.mint(job.created_by, roles, _TOKEN_TTL_S)
        set_caller(Principal.of(job.created_by, roles), token)


def _data_node(version: datasets_pb2.DatasetVersion) -> artifact_pb2.ArtifactMetadata:
    metadata = artifact_pb2.DataMetadata(
        name=version.name,
        version=DatasetVersionName.parse(version.name).version,
        digest=version.digest,
        row_count=version.row_count,
        ingest_time=version.create_time,
    )
    return artifact_pb2.ArtifactMetadata(data_metadata=metadata)


def _copy_node(copy: views_pb2.DatasetCheckpoint) -> artifact_pb2.ArtifactMetadata:
    metadata = artifact_pb2.DataMetadata(
        name=copy.name,
        version=CheckpointName.parse(copy.name).version,
        digest=copy.digest,
        row_count=sum(split.row_count for split in copy.splits),
        ingest_time=copy.create_time,
    )
    return artifact_pb2.ArtifactMetadata(data_metadata=metadata)


def _code_node(code: artifacts_pb2.Artifact) -> artifact_pb2.ArtifactMetadata:
    metadata = artifact_pb2.ExecutableMetadata(name=code.name, digest=code.digest, create_ts=code.create_time)
    return artifact_pb2.ArtifactMetadata(executable_metadata=metadata)


def _into_run(
    name: str, run: str, role: artifact_pb2.ArtifactConnection.Role.ValueType
) -> artifact_pb2.ArtifactConnection:
    return artifact_pb2.ArtifactConnection(first_name=name, second_name=run, run_name=run, role=role)
