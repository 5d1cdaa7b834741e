"""TrainingWorkerService: convert, call, convert."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from chassis.auth import current_principal
from headwater.errors import DeadlineExceeded, InvalidArgument
from headwater.training.v1 import jobs_pb2, workers_pb2, workers_pb2_grpc
from services.training_scheduler.checkpoints.checkpoints import Checkpoints
from services.training_scheduler.jobs.convert import checkpoint_to_proto, progress_from_proto
from services.training_scheduler.workers import convert
from services.training_scheduler.workers.attempt import Worker
from services.training_scheduler.workers.tokens import JobTokens, require_worker_of
from services.training_scheduler.workers.workers import Workers

_IDLE_S = 60.0


class TrainingWorkerServicer(workers_pb2_grpc.TrainingWorkerServiceServicer):
    """See workers.proto."""

    def __init__(self, workers: Workers, checkpoints: Checkpoints, tokens: JobTokens) -> None:
        self._workers = workers
        self._checkpoints = checkpoints
        self._tokens = tokens

    async def GetAssignment(self, request: workers_pb2.GetAssignmentRequest, _context: Any) -> workers_pb2.Assignment:
        """See workers.proto."""
        return convert.assignment_to_proto(await self._workers.assignment(_worker(request.worker)))

    async def ReportProgress(
        self, request: workers_pb2.ReportProgressRequest, _context: Any
    ) -> workers_pb2.ReportProgressResponse:
        """See workers.proto."""
        worker = _worker(request.worker)
        stop_requested = await self._workers.report_progress(worker, progress_from_proto(request.progress))
        return workers_pb2.ReportProgressResponse(
            stop_requested=stop_requested, token=self._tokens.newer(worker.job.job)
        )

    async def UploadCheckpoint(
        self, request_iterator: AsyncIterator[workers_pb2.UploadCheckpointRequest], _context: Any
    ) -> jobs_pb2.Checkpoint:
        """See workers.proto."""
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("header"):
            raise InvalidArgument("The first message must be the header.", field="header")
        announced = convert.announced_from_proto(first.header.checkpoint)
        saved = await self._checkpoints.save(_worker(first.header.worker), announced, _data(request_iterator))
        answer = checkpoint_to_proto(saved)
        assert answer is not None
        return answer

    async def DownloadCheckpoint(
        self, request: workers_pb2.DownloadCheckpointRequest, _context: Any
    ) -> AsyncIterator[workers_pb2.DownloadCheckpointResponse]:
        """See workers.proto."""
        async for chunk in self._checkpoints.newest(_worker(request.worker)):
            yield workers_pb2.DownloadCheckpointResponse(data=chunk)

    async def ReportResult(
        self, request: workers_pb2.ReportResultRequest, _context: Any
    ) -> workers_pb2.ReportResultResponse:
        """See workers.proto."""
        await self._workers.report_result(_worker(request.worker), convert.result_from_proto(request.result))
        return workers_pb2.ReportResultResponse()


def _worker(identity: workers_pb2.WorkerIdentity) -> Worker:
    worker = convert.worker_from_proto(identity)
    require_worker_of(worker.job.job, current_principal())
    return worker


async def _data(messages: AsyncIterator[workers_pb2.UploadCheckpointRequest]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(_IDLE_S):
                message = await anext(messages, None)
        except TimeoutError as error:
            raise DeadlineExceeded(f"No part of the checkpoint came for {_IDLE_S:.0f} s.") from error
        if message is None:
            return
        if message.HasField("header"):
            raise InvalidArgument("Only the first message may be a header.", field="header")
        yield message.data
