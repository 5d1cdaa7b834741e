"""What a job tells the registry: a run, what went into it and what came out. Every call may be repeated."""

import grpc.aio

from headwater.artifact.v1 import artifact_pb2
from headwater.dataset.v1 import datasets_pb2
from headwater.errors import NotFound
from headwater.names import ProjectName
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc, runs_pb2, runs_pb2_grpc
from headwater.transforms.pipeline import canonical
from services.preprocessing.jobs.datasets import Stored
from services.preprocessing.jobs.model import Job
from services.preprocessing.pipelines.model import PipelineVersion

Connection = artifact_pb2.ArtifactConnection
Run = artifact_pb2.Run


class Lineage:
    """The registry, as jobs use it."""

    def __init__(self, registry: grpc.aio.Channel) -> None:
        self._runs = runs_pb2_grpc.RunServiceStub(registry)
        self._lineage = lineage_pb2_grpc.LineageServiceStub(registry)

    async def start(self, job: Job, pipeline: PipelineVersion) -> str:
        """The job's run, started if it is not yet."""
        run = Run(display_name=f"{pipeline.name.pipeline} {pipeline.name.version}", job=str(job.name))
        request = runs_pb2.CreateRunRequest(
            parent=str(ProjectName(job.name.project)), run=run, request_id=f"run-{job.name.job}"
        )
        return (await self._runs.CreateRun(request)).name

    async def connect(
        self,
        job: Job,
        run: str,
        pipeline: PipelineVersion,
        source: Stored,
        output: datasets_pb2.DatasetVersion,
    ) -> None:
        """Note that ``source`` and ``pipeline`` went into ``run`` and ``output`` came out.

        An output that was there before keeps the run that first made it.
        """
        executable = artifact_pb2.ExecutableMetadata(
            name=str(pipeline.name),
            version=pipeline.name.version,
            digest=pipeline.definition.digest,
            # By it the registry can record with a model what prepared its data.
            annotations={"pipeline": canonical(pipeline.definition)},
        )
        connections = [
            Connection(first_name=source.name, second_name=run, role=Connection.ROLE_INPUT, run_name=run),
            Connection(first_name=executable.name, second_name=run, role=Connection.ROLE_EXECUTABLE, run_name=run),
        ]
        if not await self._has_origin(output.name):
            connections.append(
                Connection(first_name=run, second_name=output.name, role=Connection.ROLE_OUTPUT, run_name=run)
            )
        artifacts = [
            artifact_pb2.ArtifactMetadata(data_metadata=_source(source)),
            artifact_pb2.ArtifactMetadata(data_metadata=_data(output)),
            artifact_pb2.ArtifactMetadata(executable_metadata=executable),
        ]
        parent = str(ProjectName(job.name.project))
        await self._lineage.CreateConnections(
            lineage_pb2.CreateConnectionsRequest(parent=parent, artifacts=artifacts, connections=connections)
        )

    async def finish(self, run: str, *, failure: str = "", cancelled: bool = False) -> None:
        """End the run."""
        state = Run.STATE_CANCELLED if cancelled else Run.STATE_FAILED if failure else Run.STATE_SUCCEEDED
        await self._runs.FinishRun(runs_pb2.FinishRunRequest(name=run, state=state, failure=failure))

    async def _has_origin(self, name: str) -> bool:
        request = lineage_pb2.GetLineageRequest(
            name=name, direction=lineage_pb2.GetLineageRequest.DIRECTION_UPSTREAM, max_depth=1
        )
        try:
            lineage = await self._lineage.GetLineage(request)
        except NotFound:
            return False
        return bool(lineage.connections)


def _data(version: datasets_pb2.DatasetVersion) -> artifact_pb2.DataMetadata:
    return artifact_pb2.DataMetadata(
        name=version.name,
        version=version.name.rpartition("/")[2],
        digest=version.digest,
        row_count=version.row_count,
        ingest_time=version.create_time,
    )


def _source(rows: Stored) -> artifact_pb2.DataMetadata:
    return artifact_pb2.DataMetadata(
        name=rows.name,
        version=rows.version.rpartition("/")[2],
        digest=rows.digest,
        row_count=rows.row_count,
        ingest_time=rows.create_time,
    )
