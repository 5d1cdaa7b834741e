"""ConversionService: convert, call, convert."""

from typing import Any

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.inference.v1 import conversions_pb2, conversions_pb2_grpc
from headwater.names import ConversionJobName, DeploymentName, ModelVersionName, ProjectName
from services.inference.conversions.convert import job_to_proto, plan_from_proto
from services.inference.conversions.jobs import Conversions
from services.inference.deployments.deployments import Origin


class ConversionServicer(conversions_pb2_grpc.ConversionServiceServicer):
    """See protos/headwater/inference/v1/conversions.proto."""

    def __init__(self, conversions: Conversions) -> None:
        self._conversions = conversions

    async def CreateConversionJob(
        self, request: conversions_pb2.CreateConversionJobRequest, _context: Any
    ) -> conversions_pb2.ConversionJob:
        """See the proto."""
        job = await self._conversions.create(
            ProjectName.parse(request.parent, "parent").project,
            plan_from_proto(request.conversion_job),
            Origin(current_principal().subject, request.request_id, body_digest(request)),
        )
        return job_to_proto(job)

    async def GetConversionJob(
        self, request: conversions_pb2.GetConversionJobRequest, _context: Any
    ) -> conversions_pb2.ConversionJob:
        """See the proto."""
        return job_to_proto(await self._conversions.get(ConversionJobName.parse(request.name)))

    async def ListConversionJobs(
        self, request: conversions_pb2.ListConversionJobsRequest, _context: Any
    ) -> conversions_pb2.ListConversionJobsResponse:
        """See the proto."""
        project = ProjectName.parse(request.parent, "parent").project
        page = await self._conversions.page(project, request.page_size, request.page_token)
        return conversions_pb2.ListConversionJobsResponse(
            conversion_jobs=[job_to_proto(job) for job in page.items], next_page_token=page.next_page_token
        )

    async def CancelConversionJob(
        self, request: conversions_pb2.CancelConversionJobRequest, _context: Any
    ) -> conversions_pb2.ConversionJob:
        """See the proto."""
        return job_to_proto(await self._conversions.cancel(ConversionJobName.parse(request.name)))

    async def ApplyConversionJob(
        self, request: conversions_pb2.ApplyConversionJobRequest, _context: Any
    ) -> conversions_pb2.ApplyConversionJobResponse:
        """See the proto."""
        name = ConversionJobName.parse(request.name)
        applied = await self._conversions.apply(name, DeploymentName.parse(request.deployment, "deployment"))
        model = applied.deployment.model
        options = applied.deployment.options
        return conversions_pb2.ApplyConversionJobResponse(
            model_version=str(ModelVersionName(model.project, model.model, applied.version)),
            threads=options.engine.threads,
            max_batch_size=options.batching.max_batch_rows,
        )
