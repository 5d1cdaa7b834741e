"""Conversion jobs from Python: a version in another form, or computed as fast as the service's machine can.

job = conversions.convert(connection, ModelVersionName("default", "digits", "3"), "onnx")
done = conversions.wait(connection, ConversionJobName.parse(job.name))
done.result                     # the new version; empty where done.failure says why there is none
"""

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Final

from headwater.client import Connection
from headwater.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument
from headwater.inference.v1 import conversions_pb2, conversions_pb2_grpc, engines_pb2
from headwater.inference.v1.conversions_pb2 import AccuracyGate, Conversion, ConversionJob, Tuning
from headwater.names import DEFAULT_PROJECT, ConversionJobName, DeploymentName, ModelVersionName, ProjectName
from headwater.pages import pages

TARGETS: Final[Mapping[str, "Conversion.Target.ValueType"]] = {
    "torchscript": Conversion.TARGET_TORCHSCRIPT,
    "onnx": Conversion.TARGET_ONNX,
    "onnx-int8": Conversion.TARGET_ONNX_INT8,
}
"""What a version can be made into."""
ACTIVE: Final = frozenset({ConversionJob.STATE_PENDING, ConversionJob.STATE_RUNNING})
SAMPLES: Final = 8
"""How many random inputs are compared unless more or fewer are asked for."""
_POLL_S: Final = 0.5
_PAGE: Final = 200


class ConversionFailed(FailedPrecondition):
    """The job has ended without a result; its evidence says more."""

    reason = "CONVERSION_FAILED"


def convert(
    connection: Connection,
    version: ModelVersionName,
    target: str,
    *,
    engine: engines_pb2.Engine | None = None,
    gate: AccuracyGate | None = None,
    sample_count: int = SAMPLES,
    timeout_s: float = 0.0,
) -> ConversionJob:
    """Begin to make ``version`` into one of ``TARGETS``. What comes out is a new version of the model, if it answers
    as the source does (see :func:`gate`).

    ``engine`` says what the source's file does not tell: the architecture of weights, and what goes in.

    Raises:
        InvalidArgument: no such target, or options that contradict each other.
        NotFound: there is no such version.
    """
    if target not in TARGETS:
        raise InvalidArgument(f"target must be one of {', '.join(TARGETS)}; it is {target!r}.", field="target")
    work = ConversionJob(conversion=Conversion(target=TARGETS[target]))
    return _create(connection, version, work, engine, gate, sample_count, timeout_s)


def tune(
    connection: Connection,
    version: ModelVersionName,
    *,
    rows: int = 0,
    max_batch_size: int = 0,
    seconds: float = 0.0,
    min_speedup: float = 0.0,
    int8: bool = False,
    engine: engines_pb2.Engine | None = None,
    gate: AccuracyGate | None = None,
    sample_count: int = SAMPLES,
    timeout_s: float = 0.0,
) -> ConversionJob:
    """Begin to measure in which form, and with how many threads, ``version`` is computed fastest. What is not said has
    the default of the service: requests of one row, batches of up to 32, 20 seconds of measuring.

    Raises:
        InvalidArgument: options that contradict each other.
        NotFound: there is no such version.
    """
    work = ConversionJob(
        tuning=Tuning(rows=rows, max_batch_size=max_batch_size, seconds=seconds, min_speedup=min_speedup, int8=int8)
    )
    return _create(connection, version, work, engine, gate, sample_count, timeout_s)


def gate(
    *, absolute: float | None = None, relative: float | None = None, min_top1_agreement: float | None = None
) -> AccuracyGate:
    """How close answers must be; what is left out of a tolerance is 0.00001 absolute and 0.001 relative.

    Raises:
        InvalidArgument: both a tolerance and an agreement are said.
    """
    if absolute is None and relative is None:
        return AccuracyGate(min_top1_agreement=min_top1_agreement)
    if min_top1_agreement is not None:
        raise InvalidArgument("Say either a tolerance or an agreement, which is used instead of it.", field="gate")
    return AccuracyGate(
        tolerance=AccuracyGate.Tolerance(
            absolute=1e-5 if absolute is None else absolute, relative=1e-3 if relative is None else relative
        )
    )


def get(connection: Connection, name: ConversionJobName) -> ConversionJob:
    """One job, with its evidence."""
    return _stub(connection).GetConversionJob(conversions_pb2.GetConversionJobRequest(name=str(name)))


def find(connection: Connection, *, project: str = DEFAULT_PROJECT) -> Iterator[ConversionJob]:
    """The jobs of a project, newest first."""
    request = conversions_pb2.ListConversionJobsRequest(parent=str(ProjectName(project)), page_size=_PAGE)
    for page in pages(_stub(connection).ListConversionJobs, request):
        yield from page.conversion_jobs


def cancel(connection: Connection, name: ConversionJobName) -> ConversionJob:
    """End a job.

    Raises:
        FailedPrecondition: reason CONVERSION_OVER, it has ended.
    """
    return _stub(connection).CancelConversionJob(conversions_pb2.CancelConversionJobRequest(name=str(name)))


def apply(
    connection: Connection, name: ConversionJobName, deployment: DeploymentName
) -> conversions_pb2.ApplyConversionJobResponse:
    """Write what a tuning chose into a deployment: threads, batch size and, where it is pinned to one, the version.

    Raises:
        FailedPrecondition: reason NOTHING_CHOSEN; the deployment's stage or alias stands for another version, say.
    """
    request = conversions_pb2.ApplyConversionJobRequest(name=str(name), deployment=str(deployment))
    return _stub(connection).ApplyConversionJob(request)


def wait(connection: Connection, name: ConversionJobName, *, timeout_s: float = 7200.0) -> ConversionJob:
    """Return the job when it has ended; its state says how. Raises DeadlineExceeded after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while (job := get(connection, name)).state in ACTIVE:
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"{name} has not ended within {timeout_s:g} s.", job=name)
        time.sleep(_POLL_S)
    return job


def check(job: ConversionJob) -> None:
    """Go on if the job has not failed; raises ConversionFailed."""
    if job.state in (ConversionJob.STATE_FAILED, ConversionJob.STATE_CANCELLED):
        raise ConversionFailed(job.failure or "The job was cancelled.", job=job.name, why=job.failure_reason)


def _create(
    connection: Connection,
    version: ModelVersionName,
    job: ConversionJob,
    engine: engines_pb2.Engine | None,
    gate: AccuracyGate | None,
    sample_count: int,
    timeout_s: float,
) -> ConversionJob:
    job.source, job.sample_count, job.timeout_seconds = str(version), sample_count, timeout_s
    if engine is not None:
        job.engine.CopyFrom(engine)
    if gate is not None:
        job.gate.CopyFrom(gate)
    request = conversions_pb2.CreateConversionJobRequest(
        parent=str(ProjectName(version.project)), conversion_job=job, request_id=str(uuid.uuid4())
    )
    return _stub(connection).CreateConversionJob(request)


def _stub(connection: Connection) -> conversions_pb2_grpc.ConversionServiceStub:
    return conversions_pb2_grpc.ConversionServiceStub(connection.channel("inference"))
