"""Workers' messages between proto and domain."""

from headwater.names import TrainingJobName
from headwater.training.v1 import jobs_pb2, workers_pb2
from services.training_scheduler.checkpoints.checkpoints import Announced
from services.training_scheduler.errors import InvalidCheckpoint
from services.training_scheduler.jobs.convert import checkpoint_to_proto, parameters_to_proto
from services.training_scheduler.jobs.model import ResultFile, TrainingJob, TrainingResult
from services.training_scheduler.workers.attempt import Worker


def worker_from_proto(worker: workers_pb2.WorkerIdentity) -> Worker:
    """Who calls, as they say."""
    return Worker(TrainingJobName.parse(worker.job, "worker.job"), worker.fencing_token, worker.rank)


def assignment_to_proto(job: TrainingJob) -> workers_pb2.Assignment:
    """What to do."""
    return workers_pb2.Assignment(
        dataset_version=job.spec.dataset_version,
        parameters=parameters_to_proto(job.spec.parameters),
        run=job.run,
        checkpoint=checkpoint_to_proto(job.checkpoint),
        dataset_checkpoint=job.spec.dataset_checkpoint,
    )


def announced_from_proto(checkpoint: jobs_pb2.Checkpoint) -> Announced:
    """Raises InvalidCheckpoint when no digest is named."""
    if not checkpoint.digest:
        raise InvalidCheckpoint("The header must name the digest.", field="header.checkpoint.digest")
    return Announced(checkpoint.epoch, checkpoint.step, checkpoint.digest, checkpoint.size_bytes)


def result_from_proto(result: jobs_pb2.TrainingResult) -> TrainingResult:
    """What was made."""
    return TrainingResult(
        files=tuple(ResultFile(file.path, file.artifact) for file in result.files),
        framework=result.framework.name,
        framework_version=result.framework.version,
        architecture=result.architecture,
    )
