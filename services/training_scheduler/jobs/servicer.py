"""TrainingJobService: convert, call, convert."""

from collections.abc import AsyncIterator
from typing import Any

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.names import ProjectName, TrainingJobName
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc
from services.training_scheduler.jobs import convert
from services.training_scheduler.jobs.jobs import Jobs


class TrainingJobServicer(jobs_pb2_grpc.TrainingJobServiceServicer):
    """See jobs.proto."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def CreateTrainingJob(
        self, request: jobs_pb2.CreateTrainingJobRequest, _context: Any
    ) -> jobs_pb2.TrainingJob:
        """See jobs.proto."""
        caller = current_principal().subject
        new = convert.new_job(request, created_by=caller, body_digest=body_digest(request))
        return convert.job_to_proto(await self._jobs.create(new))

    async def GetTrainingJob(self, request: jobs_pb2.GetTrainingJobRequest, _context: Any) -> jobs_pb2.TrainingJob:
        """See jobs.proto."""
        return convert.job_to_proto(await self._jobs.get(TrainingJobName.parse(request.name)))

    async def ListTrainingJobs(
        self, request: jobs_pb2.ListTrainingJobsRequest, _context: Any
    ) -> jobs_pb2.ListTrainingJobsResponse:
        """See jobs.proto."""
        project = ProjectName.parse(request.parent, "parent")
        page = await self._jobs.page(project, request.page_size, request.page_token)
        return jobs_pb2.ListTrainingJobsResponse(
            training_jobs=[convert.job_to_proto(job) for job in page.items], next_page_token=page.next_page_token
        )

    async def WatchTrainingJob(
        self, request: jobs_pb2.WatchTrainingJobRequest, _context: Any
    ) -> AsyncIterator[jobs_pb2.TrainingJob]:
        """See jobs.proto."""
        async for job in self._jobs.watch(TrainingJobName.parse(request.name)):
            yield convert.job_to_proto(job)

    async def CancelTrainingJob(
        self, request: jobs_pb2.CancelTrainingJobRequest, _context: Any
    ) -> jobs_pb2.TrainingJob:
        """See jobs.proto."""
        return convert.job_to_proto(await self._jobs.cancel(TrainingJobName.parse(request.name)))
