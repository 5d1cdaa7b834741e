"""Between messages and values, in pairs."""

import datetime
import json

from google.protobuf import json_format, struct_pb2, timestamp_pb2

from headwater.preprocessing.v1 import jobs_pb2, pipelines_pb2
from headwater.transforms.model import Fault, Step
from headwater.transforms.pipeline import canonical
from services.preprocessing.cache.model import CacheStats
from services.preprocessing.jobs.model import Job, State
from services.preprocessing.pipelines.model import Pipeline, PipelineVersion

_STATES = {
    State.PENDING: jobs_pb2.PreprocessingJob.STATE_PENDING,
    State.RUNNING: jobs_pb2.PreprocessingJob.STATE_RUNNING,
    State.SUCCEEDED: jobs_pb2.PreprocessingJob.STATE_SUCCEEDED,
    State.FAILED: jobs_pb2.PreprocessingJob.STATE_FAILED,
    State.CANCELLED: jobs_pb2.PreprocessingJob.STATE_CANCELLED,
}


def pipeline_version_to_proto(version: PipelineVersion) -> pipelines_pb2.PipelineVersion:
    """A stored version."""
    definition = version.definition
    return pipelines_pb2.PipelineVersion(
        name=str(version.name),
        display_name=definition.display_name,
        description=definition.description,
        steps=[_step_to_proto(step) for step in definition.steps],
        metadata=_struct(dict(definition.metadata)),
        digest=definition.digest,
        create_time=_timestamp(version.created_at),
        created_by=version.created_by,
        document=canonical(definition),
    )


def pipeline_to_proto(pipeline: Pipeline) -> pipelines_pb2.Pipeline:
    """A pipeline."""
    return pipelines_pb2.Pipeline(
        name=str(pipeline.name), latest_version=pipeline.latest_version, create_time=_timestamp(pipeline.created_at)
    )


def fault_to_proto(fault: Fault) -> pipelines_pb2.Fault:
    """A fault of a document."""
    return pipelines_pb2.Fault(path=fault.path, message=fault.message)


def job_to_proto(job: Job) -> jobs_pb2.PreprocessingJob:
    """A job."""
    return jobs_pb2.PreprocessingJob(
        name=str(job.name),
        pipeline_version=str(job.pipeline_version),
        dataset_version=str(job.dataset_version),
        output_dataset=str(job.output_dataset),
        state=_STATES[job.state],
        output_version=job.output_version,
        output_created=job.output_created,
        chunk_count=job.progress.chunk_count,
        done_chunk_count=job.progress.done_chunk_count,
        cached_chunk_count=job.progress.cached_chunk_count,
        done_row_count=job.progress.done_row_count,
        failure_reason=job.failure_reason,
        failure=job.failure,
        run=job.run,
        create_time=_timestamp(job.created_at),
        start_time=_timestamp(job.started_at),
        end_time=_timestamp(job.ended_at),
        created_by=job.created_by,
        warnings=job.warnings,
    )


def stats_to_proto(stats: CacheStats) -> jobs_pb2.CacheStats:
    """What the cache tells of itself."""
    return jobs_pb2.CacheStats(
        size_bytes=stats.size_bytes,
        max_size_bytes=stats.max_size_bytes,
        object_count=stats.object_count,
        hit_count=stats.hit_count,
        miss_count=stats.miss_count,
        eviction_count=stats.eviction_count,
    )


def _step_to_proto(step: Step) -> pipelines_pb2.Step:
    return pipelines_pb2.Step(id=step.id, step_type=step.step_type, config=_struct(dict(step.config)), cache=step.cache)


def _struct(value: dict[str, object]) -> struct_pb2.Struct:
    return json_format.Parse(json.dumps(value), struct_pb2.Struct())


def _timestamp(moment: datetime.datetime | None) -> timestamp_pb2.Timestamp | None:
    if moment is None:
        return None
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
