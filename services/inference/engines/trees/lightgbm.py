"""Models of LightGBM, computed by LightGBM."""

from collections.abc import Sequence
from typing import Any, Self

import lightgbm
import numpy as np

from services.inference.engines.cause import in_words
from services.inference.engines.engine import Engine, EngineFailed, EngineOutOfMemory, ModelRefused
from services.inference.engines.order import Order
from services.inference.engines.trees.lightgbm_file import LightGBMFacts, check_lightgbm
from services.inference.tensors.model import Array, Signature, TensorSpec


def load(content: bytes, order: Order) -> Engine:
    """See engines.loader."""
    return LightGBMEngine.load(content, threads=order.options.threads)


class LightGBMEngine(Engine):
    """One booster: FP64 ``data`` in, NaN where a value is missing, categories by their codes; ``prediction`` out, which
    is what ``Booster.predict`` gives: probabilities, or numbers, by the objective."""

    platform = "lightgbm"

    def __init__(self, booster: Any, facts: LightGBMFacts, threads: int) -> None:
        self._shape: tuple[int, ...] = (facts.outputs,) if facts.outputs > 1 else ()
        self.signature = Signature(
            (TensorSpec("data", "FP64", (-1, facts.features)),),
            (TensorSpec("prediction", "FP64", (-1, *self._shape)),),
            batchable=True,
        )
        self._booster = booster
        self._threads = threads

    @classmethod
    def load(cls, model: bytes, *, threads: int) -> Self:
        """The engine for a model in LightGBM's text, computed by ``threads`` threads; 0: one for each core.

        Raises:
            ModelRefused: the file may not be served, or LightGBM cannot.
        """
        facts = check_lightgbm(model)
        try:
            engine = cls(lightgbm.Booster(model_str=facts.text), facts, threads)
            answer = engine._compute(np.zeros((2, facts.features)))
        except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
            raise ModelRefused(f"LightGBM cannot load the file: {in_words(error)}.") from error
        if answer.shape != (2, *engine._shape):
            raise ModelRefused(f"The objective {facts.objective[:64]!r} gives another output than expected.")
        return engine

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine."""
        (rows,) = inputs
        if not len(rows):
            return [np.zeros((0, *self._shape))]
        try:
            return [self._compute(rows)]
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            if "bad_alloc" in str(error):
                raise EngineOutOfMemory from error
            raise EngineFailed from error

    def stop(self) -> None:
        """See Engine. LightGBM cannot be interrupted: a batch ends when it has gone through every tree."""

    def close(self) -> None:
        """See Engine."""
        del self._booster

    def _compute(self, rows: Array) -> Array:
        answer = self._booster.predict(rows, num_threads=self._threads, validate_features=False)
        return np.ascontiguousarray(answer, np.float64)
