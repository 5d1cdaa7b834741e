"""Parity records: what a model version answered where it was made, to be compared before it answers elsewhere.

    parity = record([Given(files=(image,)) for image in images], OnnxModel(path), pipeline)
    replay(parity, prepare, predict)   # raises ParityMismatch

Needs the extra ``transforms``; recording what an ONNX file answers needs ONNX Runtime.
"""

from typing import TYPE_CHECKING

from headwater.lazy import lazily

if TYPE_CHECKING:
    from headwater.parity.arrays import named_arrays
    from headwater.parity.document import read, write
    from headwater.parity.errors import ParityInvalid, ParityMismatch, RuntimeMissing
    from headwater.parity.model import Parity, Sample, Tolerance
    from headwater.parity.onnx import OnnxModel
    from headwater.parity.recording import Given, record
    from headwater.parity.replaying import Predict, Prepare, replay
    from headwater.parity.samples import read_samples
    from headwater.parity.words import MAX_BYTES, MAX_SAMPLES, PATH, RAW

__getattr__ = lazily(
    __name__,
    {
        "arrays": ["named_arrays"],
        "document": ["read", "write"],
        "errors": ["ParityInvalid", "ParityMismatch", "RuntimeMissing"],
        "model": ["Parity", "Sample", "Tolerance"],
        "onnx": ["OnnxModel"],
        "recording": ["Given", "record"],
        "replaying": ["Predict", "Prepare", "replay"],
        "samples": ["read_samples"],
        "words": ["MAX_BYTES", "MAX_SAMPLES", "PATH", "RAW"],
    },
)

__all__ = [
    "MAX_BYTES",
    "MAX_SAMPLES",
    "PATH",
    "RAW",
    "Given",
    "OnnxModel",
    "Parity",
    "ParityInvalid",
    "ParityMismatch",
    "Predict",
    "Prepare",
    "RuntimeMissing",
    "Sample",
    "Tolerance",
    "named_arrays",
    "read",
    "read_samples",
    "record",
    "replay",
    "write",
]
