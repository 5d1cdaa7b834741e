"""RPC in → use case → RPC out."""

from collections.abc import AsyncIterator
from typing import Any

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.names import (
    DatasetName,
    DatasetVersionName,
    PipelineName,
    PipelineVersionName,
    PreprocessingJobName,
    ProjectName,
)
from headwater.preprocessing.v1 import jobs_pb2, jobs_pb2_grpc, pipelines_pb2, pipelines_pb2_grpc
from services.preprocessing import convert
from services.preprocessing.cache.tiers import StepCache
from services.preprocessing.jobs.jobs import Jobs
from services.preprocessing.pipelines.pipelines import Pipelines


class PipelineServicer(pipelines_pb2_grpc.PipelineServiceServicer):
    """headwater.preprocessing.v1.PipelineService."""

    def __init__(self, pipelines: Pipelines) -> None:
        self._pipelines = pipelines

    async def CreatePipelineVersion(
        self, request: pipelines_pb2.CreatePipelineVersionRequest, _context: Any
    ) -> pipelines_pb2.PipelineVersion:
        """See pipelines.proto."""
        version = await self._pipelines.create_version(
            ProjectName.parse(request.parent, "parent"),
            request.document,
            current_principal().subject,
            request.request_id,
            body_digest(request),
        )
        return convert.pipeline_version_to_proto(version)

    async def ValidatePipeline(
        self, request: pipelines_pb2.ValidatePipelineRequest, _context: Any
    ) -> pipelines_pb2.ValidatePipelineResponse:
        """See pipelines.proto."""
        faults = self._pipelines.faults(request.document)
        return pipelines_pb2.ValidatePipelineResponse(faults=map(convert.fault_to_proto, faults))

    async def GetPipelineVersion(
        self, request: pipelines_pb2.GetPipelineVersionRequest, _context: Any
    ) -> pipelines_pb2.PipelineVersion:
        """See pipelines.proto."""
        version = await self._pipelines.get_version(PipelineVersionName.parse(request.name))
        return convert.pipeline_version_to_proto(version)

    async def ListPipelines(
        self, request: pipelines_pb2.ListPipelinesRequest, _context: Any
    ) -> pipelines_pb2.ListPipelinesResponse:
        """See pipelines.proto."""
        project = ProjectName.parse(request.parent, "parent")
        page = await self._pipelines.list_pipelines(project, request.page_size, request.page_token)
        return pipelines_pb2.ListPipelinesResponse(
            pipelines=map(convert.pipeline_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def ListPipelineVersions(
        self, request: pipelines_pb2.ListPipelineVersionsRequest, _context: Any
    ) -> pipelines_pb2.ListPipelineVersionsResponse:
        """See pipelines.proto."""
        pipeline = PipelineName.parse(request.parent, "parent")
        page = await self._pipelines.list_versions(pipeline, request.page_size, request.page_token)
        return pipelines_pb2.ListPipelineVersionsResponse(
            pipeline_versions=map(convert.pipeline_version_to_proto, page.items), next_page_token=page.next_page_token
        )


class PreprocessingJobServicer(jobs_pb2_grpc.PreprocessingJobServiceServicer):
    """headwater.preprocessing.v1.PreprocessingJobService."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def CreatePreprocessingJob(
        self, request: jobs_pb2.CreatePreprocessingJobRequest, _context: Any
    ) -> jobs_pb2.PreprocessingJob:
        """See jobs.proto."""
        job = await self._jobs.create(
            ProjectName.parse(request.parent, "parent"),
            PipelineVersionName.parse(request.pipeline_version, "pipeline_version"),
            DatasetVersionName.parse(request.dataset_version, "dataset_version"),
            DatasetName.parse(request.output_dataset, "output_dataset"),
            current_principal().subject,
            request.request_id,
            body_digest(request),
        )
        return convert.job_to_proto(job)

    async def GetPreprocessingJob(
        self, request: jobs_pb2.GetPreprocessingJobRequest, _context: Any
    ) -> jobs_pb2.PreprocessingJob:
        """See jobs.proto."""
        return convert.job_to_proto(await self._jobs.get(PreprocessingJobName.parse(request.name)))

    async def ListPreprocessingJobs(
        self, request: jobs_pb2.ListPreprocessingJobsRequest, _context: Any
    ) -> jobs_pb2.ListPreprocessingJobsResponse:
        """See jobs.proto."""
        project = ProjectName.parse(request.parent, "parent")
        page = await self._jobs.list(project, request.page_size, request.page_token)
        return jobs_pb2.ListPreprocessingJobsResponse(
            preprocessing_jobs=map(convert.job_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def WatchPreprocessingJob(
        self, request: jobs_pb2.WatchPreprocessingJobRequest, _context: Any
    ) -> AsyncIterator[jobs_pb2.PreprocessingJob]:
        """See jobs.proto."""
        async for job in self._jobs.watch(PreprocessingJobName.parse(request.name)):
            yield convert.job_to_proto(job)

    async def CancelPreprocessingJob(
        self, request: jobs_pb2.CancelPreprocessingJobRequest, _context: Any
    ) -> jobs_pb2.PreprocessingJob:
        """See jobs.proto."""
        return convert.job_to_proto(await self._jobs.cancel(PreprocessingJobName.parse(request.name)))


class CacheServicer(jobs_pb2_grpc.CacheServiceServicer):
    """headwater.preprocessing.v1.CacheService."""

    def __init__(self, cache: StepCache) -> None:
        self._cache = cache

    async def GetCacheStats(self, _request: jobs_pb2.GetCacheStatsRequest, _context: Any) -> jobs_pb2.CacheStats:
        """See jobs.proto."""
        return convert.stats_to_proto(self._cache.stats())

    async def ClearCache(self, _request: jobs_pb2.ClearCacheRequest, _context: Any) -> jobs_pb2.CacheStats:
        """See jobs.proto."""
        await self._cache.clear()
        return convert.stats_to_proto(self._cache.stats())
