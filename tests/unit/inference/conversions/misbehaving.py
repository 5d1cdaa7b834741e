"""What a job's process may do instead of its work; loaded in its place."""

import json
import os
import time
from collections.abc import Sequence

import numpy as np

from services.inference.conversions.working.shape import SIGNATURE
from services.inference.engines.engine import Engine
from services.inference.engines.order import Order
from services.inference.tensors.model import Array


def load(content: bytes, _order: Order) -> Engine:
    """See engines.formats. What the file says is done."""
    return Misbehaving(content.decode())


class Misbehaving(Engine):
    """See Engine."""

    platform = "test"

    def __init__(self, what: str) -> None:
        self.signature = SIGNATURE
        self._what = what

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine."""
        match self._what:
            case "crash":
                os.abort()
            case "hang":
                time.sleep(600)
            case "leak":
                kept = [np.ones(1 << 24) for _ in range(1000)]
                raise AssertionError(len(kept))
            case "nonsense":
                return [_text("no report"), _text(""), _text("")]
            case "fail":
                raise ZeroDivisionError("by zero")
        candidate = {"name": "onnx, 1 thread", "format": "onnx", "threads": 1}
        evidence = {
            "source_format": "onnx", "source_digest": "", "source_size_bytes": 1, "from_parity_record": False,
            "sample_count": 1, "candidates": [candidate], "chosen": "onnx, 1 thread", "speedup": 2.0,
        }  # fmt: skip
        report = {"evidence": evidence, "failure_reason": "", "failure": "", "format": "onnx"}
        return [_text(json.dumps(report)), _text(self._what), _text("")]

    def stop(self) -> None:
        """See Engine."""

    def close(self) -> None:
        """See Engine."""


def _text(text: str) -> Array:
    array = np.empty((1,), np.object_)
    array[0] = text.encode()
    return array
