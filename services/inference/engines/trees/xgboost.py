"""Models of XGBoost, computed by XGBoost."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import xgboost

from services.inference.engines.cause import in_words
from services.inference.engines.engine import Engine, EngineFailed, EngineOutOfMemory, ModelRefused
from services.inference.engines.order import Order
from services.inference.engines.trees.xgboost_file import XGBoostFacts, check_xgboost
from services.inference.tensors.model import Array, Signature, TensorSpec


def load(content: bytes, order: Order) -> Engine:
    """See engines.loader."""
    return XGBoostEngine.load(content, threads=order.options.threads)


class XGBoostEngine(Engine):
    """One booster: FP32 ``data`` in, NaN where a value is missing; ``prediction`` out, as ``Booster.predict`` gives it.

    By the objective it is a probability, one for each class, a class (``multi:softmax``), a margin
    (``binary:logitraw``) or a number.

    All rounds are used, also when training stopped early: slice the booster to its best round before saving it.
    """

    platform = "xgboost"

    def __init__(self, booster: Any, facts: XGBoostFacts) -> None:
        one = facts.outputs == 1 or facts.objective == "multi:softmax"
        self._shape: tuple[int, ...] = () if one else (facts.outputs,)
        self.signature = Signature(
            (TensorSpec("data", "FP32", (-1, facts.features)),),
            (TensorSpec("prediction", "FP32", (-1, *self._shape)),),
            batchable=True,
        )
        self._booster = booster
        self._in_place = facts.booster != "gblinear"

    @classmethod
    def load(cls, model: bytes, *, threads: int) -> Self:
        """The engine for a model in XGBoost's JSON or UBJSON, computed by ``threads`` threads; 0: one for each core.

        Raises:
            ModelRefused: the file may not be served, or XGBoost cannot.
        """
        facts = check_xgboost(model)
        try:
            booster = xgboost.Booster({"nthread": threads, "verbosity": 0}, model_file=bytearray(model))
            engine = cls(booster, facts)
            answer = engine._compute(np.zeros((2, facts.features), np.float32))
        except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
            raise ModelRefused(f"XGBoost cannot load the file: {in_words(error)}.") from error
        if answer.shape != (2, *engine._shape):
            raise ModelRefused(f"The objective {facts.objective[:64]!r} gives another output than expected.")
        return engine

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine."""
        (rows,) = inputs
        if not len(rows):
            return [np.zeros((0, *self._shape), np.float32)]
        try:
            return [self._compute(rows)]
        except (xgboost.core.XGBoostError, ValueError) as error:
            if "bad_alloc" in str(error):
                raise EngineOutOfMemory from error
            raise EngineFailed from error

    def stop(self) -> None:
        """See Engine. XGBoost cannot be interrupted: a batch ends when it has gone through every tree."""

    def close(self) -> None:
        """See Engine."""
        del self._booster

    def _compute(self, rows: Array) -> Array:
        if self._in_place:
            answer = self._booster.inplace_predict(rows, missing=np.nan, validate_features=False)
        else:  # of linear models XGBoost knows only this way
            answer = self._booster.predict(xgboost.DMatrix(rows, missing=np.nan), validate_features=False)
        return np.ascontiguousarray(answer, np.float32)
