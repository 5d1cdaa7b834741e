"""Preprocessing from Python: store a pipeline, apply it to a dataset version, follow the job."""

import uuid
from collections.abc import Iterator

from headwater import references
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT, DatasetName, PipelineName, ProjectName
from headwater.preprocessing.v1 import jobs_pb2, jobs_pb2_grpc, pipelines_pb2, pipelines_pb2_grpc


def create(connection: Connection, document: str, *, project: str = DEFAULT_PROJECT) -> pipelines_pb2.PipelineVersion:
    """Store a pipeline from its JSON or YAML text. Storing the same version with the same content again is no change.

    Raises:
        InvalidArgument: reason PIPELINE_INVALID, naming every fault.
        AlreadyExists: when that version has another content: versions are immutable.
    """
    request = pipelines_pb2.CreatePipelineVersionRequest(
        parent=str(ProjectName(project)), document=document, request_id=str(uuid.uuid4())
    )
    return _pipelines(connection).CreatePipelineVersion(request)


def faults(connection: Connection, document: str) -> list[pipelines_pb2.Fault]:
    """Every fault of a pipeline's JSON or YAML text; none when it is valid."""
    request = pipelines_pb2.ValidatePipelineRequest(document=document)
    return list(_pipelines(connection).ValidatePipeline(request).faults)


def get(connection: Connection, version: str) -> pipelines_pb2.PipelineVersion:
    """One version, by its resource name.

    Raises:
        NotFound: there is none of that name.
    """
    return _pipelines(connection).GetPipelineVersion(pipelines_pb2.GetPipelineVersionRequest(name=version))


def resolve(connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT) -> str:
    """The resource name of a pipeline version: the one that ``reference`` names, or the newest of that pipeline."""
    name = references.pipeline_version(reference, project)
    if not isinstance(name, PipelineName):
        return str(name)
    request = pipelines_pb2.ListPipelineVersionsRequest(parent=str(name), page_size=1)
    versions = _pipelines(connection).ListPipelineVersions(request).pipeline_versions
    if not versions:
        raise references.NoVersionYet(pipeline=name)
    return versions[0].name


def apply(
    connection: Connection, pipeline_version: str, dataset_version: str, output: DatasetName
) -> jobs_pb2.PreprocessingJob:
    """Start a job that writes ``pipeline_version`` of ``dataset_version`` to the dataset ``output``."""
    request = jobs_pb2.CreatePreprocessingJobRequest(
        parent=str(ProjectName(output.project)),
        pipeline_version=pipeline_version,
        dataset_version=dataset_version,
        output_dataset=str(output),
        request_id=str(uuid.uuid4()),
    )
    return _jobs(connection).CreatePreprocessingJob(request)


def watch(connection: Connection, job: str) -> Iterator[jobs_pb2.PreprocessingJob]:
    """The job as it is, then whenever it changes, until it has ended."""
    yield from _jobs(connection).WatchPreprocessingJob(jobs_pb2.WatchPreprocessingJobRequest(name=job))


def _pipelines(connection: Connection) -> pipelines_pb2_grpc.PipelineServiceStub:
    return pipelines_pb2_grpc.PipelineServiceStub(connection.channel("preprocessing"))


def _jobs(connection: Connection) -> jobs_pb2_grpc.PreprocessingJobServiceStub:
    return jobs_pb2_grpc.PreprocessingJobServiceStub(connection.channel("preprocessing"))
