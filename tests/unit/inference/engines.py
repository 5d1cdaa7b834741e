"""An engine that a test holds in its hand."""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from services.inference.engines.engine import Engine, EngineFailed
from services.inference.tensors.model import Array, Signature, TensorSpec

ROWS = Signature((TensorSpec("x", "FP32", (-1, -1)),), (TensorSpec("y", "FP32", (-1, -1)),), batchable=True)
POISON = -1.0


class HeldEngine(Engine):
    """y = 2 x. Computes while its gate is open; fails on a row that holds POISON."""

    platform = "test"

    def __init__(self, signature: Signature = ROWS, answer: Callable[[Array], Array] = lambda rows: rows * 2) -> None:
        self.signature = signature
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)
        self.batches: list[int] = []
        self.values: list[list[float]] = []
        """The first column of each batch."""
        self.closed = False
        self._answer = answer
        self._stopped = threading.Event()

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        self._stopped.clear()  # a stop is for the computation that it finds
        self.batches.append(inputs[0].shape[0])
        self.values.append(inputs[0][:, :1].ravel().tolist())
        self.began.release()
        while not self.gate.wait(0.005):
            if self._stopped.is_set():
                raise EngineFailed
        if np.any(inputs[0] == POISON):
            raise EngineFailed
        return [self._answer(inputs[0])]

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.closed = True
