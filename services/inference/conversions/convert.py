"""Conversion jobs between protobuf and the domain."""

import math

from headwater.inference.v1 import conversions_pb2
from headwater.names import ModelVersionName
from services.inference.conversions.errors import InvalidConversion
from services.inference.conversions.evidence import Candidate, Difference, Evidence
from services.inference.conversions.model import Conversion, Gate, Job, Plan, State, Target, Tuning
from services.inference.engines.convert import engine_from_proto, engine_to_proto, spec_to_proto

_Job = conversions_pb2.ConversionJob
_TARGETS = {
    Target[name.removeprefix("TARGET_")]: value for name, value in conversions_pb2.Conversion.Target.items() if value
}
_BY_VALUE = {value: target for target, value in _TARGETS.items()}
_STATES = {state: _Job.State.Value(f"STATE_{state.name}") for state in State}
_SYSTEM = ("name", "state", "failure_reason", "failure", "result", "evidence", "attempts", "create_time", "start_time")
_DEFAULT_SAMPLES = 8


def plan_from_proto(message: conversions_pb2.ConversionJob) -> Plan:
    """What is asked for, with its defaults.

    Raises:
        InvalidConversion: neither a conversion nor a tuning is asked for, or something is said that is the system's.
        InvalidEngine, InvalidName
    """
    said = {field.name for field, _ in message.ListFields()}
    for field in (*_SYSTEM, "end_time", "created_by"):
        if field in said:
            raise InvalidConversion(f"{field} is set by the system.", field=f"conversion_job.{field}")
    work = message.WhichOneof("work")
    if work is None:
        raise InvalidConversion("Say what to do: conversion or tuning.", field="conversion_job")
    return Plan(
        ModelVersionName.parse(message.source, "conversion_job.source"),
        Conversion(_BY_VALUE[message.conversion.target]) if work == "conversion" else None,
        _tuning_from_proto(message.tuning) if work == "tuning" else None,
        engine_from_proto(message.engine),
        _gate_from_proto(message.gate),
        message.sample_count or _DEFAULT_SAMPLES,
        message.timeout_seconds,
    )


def job_to_proto(job: Job) -> conversions_pb2.ConversionJob:
    """The job as the API shows it."""
    plan = job.plan
    message = _Job(
        name=str(job.name),
        source=str(plan.source),
        engine=engine_to_proto(plan.engine),
        gate=_gate_to_proto(plan.gate),
        sample_count=plan.sample_count,
        timeout_seconds=plan.timeout_s,
        state=_STATES[job.state],
        failure_reason=job.failure_reason,
        failure=job.failure,
        result=job.result,
        attempts=job.attempts,
        created_by=job.created_by,
    )
    if plan.conversion is not None:
        message.conversion.target = _TARGETS[plan.conversion.target]
    if plan.tuning is not None:
        message.tuning.CopyFrom(_tuning_to_proto(plan.tuning))
    if job.evidence is not None:
        message.evidence.CopyFrom(_evidence_to_proto(job.evidence))
    for field in ("create_time", "start_time", "end_time"):
        if (time := getattr(job, field)) is not None:
            getattr(message, field).FromDatetime(time)
    return message


def _tuning_from_proto(message: conversions_pb2.Tuning) -> Tuning:
    default = Tuning()
    if message.min_speedup and message.min_speedup < 1:
        raise InvalidConversion(
            "What is slower is never chosen: min_speedup must be at least 1.", field="conversion_job.tuning.min_speedup"
        )
    return Tuning(
        message.rows or default.rows,
        message.max_batch_size or default.max_batch_size,
        message.seconds or default.seconds,
        message.min_speedup or default.min_speedup,
        message.int8,
    )


def _tuning_to_proto(tuning: Tuning) -> conversions_pb2.Tuning:
    return conversions_pb2.Tuning(
        rows=tuning.rows,
        max_batch_size=tuning.max_batch_size,
        seconds=tuning.seconds,
        min_speedup=tuning.min_speedup,
        int8=tuning.int8,
    )


def _gate_from_proto(message: conversions_pb2.AccuracyGate) -> Gate:
    gate = Gate()
    if message.HasField("tolerance"):
        gate = Gate(message.tolerance.absolute, message.tolerance.relative)
    if not message.HasField("min_top1_agreement"):
        return gate
    if message.HasField("tolerance"):
        raise InvalidConversion(
            "Say either a tolerance or min_top1_agreement, which is used instead of it.", field="conversion_job.gate"
        )
    return Gate(min_top1_agreement=message.min_top1_agreement)


def _gate_to_proto(gate: Gate) -> conversions_pb2.AccuracyGate:
    if gate.min_top1_agreement is not None:
        return conversions_pb2.AccuracyGate(min_top1_agreement=gate.min_top1_agreement)
    tolerance = conversions_pb2.AccuracyGate.Tolerance(absolute=gate.absolute, relative=gate.relative)
    return conversions_pb2.AccuracyGate(tolerance=tolerance)


def _evidence_to_proto(evidence: Evidence) -> conversions_pb2.ConversionEvidence:
    return conversions_pb2.ConversionEvidence(
        source_format=evidence.source_format,
        source_digest=evidence.source_digest,
        source_size_bytes=evidence.source_size_bytes,
        from_parity_record=evidence.from_parity_record,
        sample_count=evidence.sample_count,
        candidates=[_candidate_to_proto(each) for each in evidence.candidates],
        chosen=evidence.chosen,
        speedup=evidence.speedup,
        max_batch_size=evidence.max_batch_size,
        batch_times=[
            conversions_pb2.BatchTime(rows=each.rows, median_ms=each.median_ms) for each in evidence.batch_times
        ],
        versions=evidence.versions,
        cores=evidence.cores,
        inputs=[spec_to_proto(spec) for spec in evidence.inputs],
        outputs=[spec_to_proto(spec) for spec in evidence.outputs],
    )


def _candidate_to_proto(candidate: Candidate) -> conversions_pb2.Candidate:
    return conversions_pb2.Candidate(
        name=candidate.name,
        format=candidate.format,
        threads=candidate.threads,
        size_bytes=candidate.size_bytes,
        conversion_seconds=candidate.conversion_s,
        refused=candidate.refused,
        differences=[_difference_to_proto(each) for each in candidate.differences],
        top1_agreement=candidate.top1_agreement,
        median_ms=candidate.median_ms,
        low_ms=candidate.low_ms,
        high_ms=candidate.high_ms,
        speedup=candidate.speedup,
        rounds=candidate.rounds,
    )


def _difference_to_proto(difference: Difference) -> conversions_pb2.OutputDifference:
    return conversions_pb2.OutputDifference(
        name=difference.name,
        element_count=difference.elements,
        outside_count=difference.outside,
        largest_absolute=_number(difference.largest_absolute),
        largest_relative=_number(difference.largest_relative),
    )


def _number(kept: float | None) -> float:
    return math.inf if kept is None else kept
