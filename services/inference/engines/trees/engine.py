"""What engines of trees have in common."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.inference.engines.engine import Engine, EngineFailed, EngineOutOfMemory, ModelRefused
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Array, Signature, TensorSpec


class TreeEngine(Engine, abc.ABC):
    """One booster: rows ``data`` of so many ``features`` in, ``prediction`` of this ``shape`` a row out, both of the
    element type that the library counts in."""

    datatype: str
    failures: tuple[type[Exception], ...]
    """What the library raises."""

    def __init__(self, booster: Any, features: int, shape: tuple[int, ...]) -> None:
        self.signature = Signature(
            (TensorSpec("data", self.datatype, (-1, features)),),
            (TensorSpec("prediction", self.datatype, (-1, *shape)),),
            batchable=True,
        )
        self._booster = booster
        self._dtype = NUMPY_TYPES[self.datatype]
        self._features = features
        self._shape = shape

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine."""
        (rows,) = inputs
        if not len(rows):
            return [np.zeros((0, *self._shape), self._dtype)]
        try:
            return [np.ascontiguousarray(self._compute(rows), self._dtype)]
        except self.failures as error:
            if "bad_alloc" in str(error):
                raise EngineOutOfMemory from error
            raise EngineFailed from error

    def stop(self) -> None:
        """See Engine. Neither library can be interrupted: a batch ends when it has gone through every tree."""

    def close(self) -> None:
        """See Engine."""
        del self._booster

    def _try(self, objective: str) -> None:
        """Compute two rows.

        Raises:
            ModelRefused: what comes out is not what the file's ``objective`` promises.
        """
        answer = np.asarray(self._compute(np.zeros((2, self._features), self._dtype)))
        if answer.shape != (2, *self._shape):
            raise ModelRefused(f"The objective {objective[:64]!r} gives another output than expected.")

    @abc.abstractmethod
    def _compute(self, rows: Array) -> Any:
        """What the library predicts for at least one row."""
