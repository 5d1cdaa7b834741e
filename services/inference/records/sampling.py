"""Decides whose tensors are recorded. Done in a thread, for requests of deployments that record any."""

import enum
from collections.abc import Collection

import numpy as np

from services.inference.records.recording import LowConfidence, Recording
from services.inference.tensors.model import Array, Tensor

OK = "OK"
_RANDOM_BITS = 48


class BodyReason(enum.StrEnum):
    """Why the tensors of a request are recorded."""

    ERROR = "error"
    LOW_CONFIDENCE = "low_confidence"
    SAMPLE = "sample"


def body_reason(recording: Recording, request_id: str, result: str, outputs: Collection[Tensor]) -> BodyReason | None:
    """The first reason to record the tensors of this request; None when there is none."""
    if recording.on_error and result != OK:
        return BodyReason.ERROR
    if recording.low_confidence is not None and is_unsure(recording.low_confidence, outputs):
        return BodyReason.LOW_CONFIDENCE
    return BodyReason.SAMPLE if is_sampled(recording.sample_rate, request_id) else None


def is_sampled(rate: float, request_id: str) -> bool:
    """Whether the request is one of this share. It depends on the id alone: its last 48 bits are random (RFC 9562)."""
    return int(request_id[-12:], 16) < rate * float(1 << _RANDOM_BITS)


def is_unsure(rule: LowConfidence, outputs: Collection[Tensor]) -> bool:
    """Whether some row of the output has no probability that reaches the bound; a NaN reaches none."""
    for tensor in outputs:
        if tensor.name == rule.output and tensor.datatype in ("FP16", "FP32", "FP64") and tensor.array.size:
            values = np.atleast_1d(tensor.array).astype(np.float64)
            best = _best_of_logits(values) if rule.logits else values.max(axis=-1)
            return not bool((best >= rule.below).all())
    return False


def _best_of_logits(values: Array) -> Array:
    largest = values.max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # infinite logits: what comes of them is NaN, and a NaN reaches no bound
        best: Array = 1 / np.exp(values - largest).sum(axis=-1)
    return best
