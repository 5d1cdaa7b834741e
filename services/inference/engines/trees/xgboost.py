"""Models of XGBoost, computed by XGBoost."""

from typing import Any, Self

import numpy as np
import xgboost

from services.inference.engines.cause import in_words
from services.inference.engines.engine import Engine, ModelRefused
from services.inference.engines.order import Order
from services.inference.engines.trees.engine import TreeEngine
from services.inference.engines.trees.xgboost_file import XGBoostFacts, check_xgboost
from services.inference.tensors.model import Array


def load(content: bytes, order: Order) -> Engine:
    """See engines.loader."""
    return XGBoostEngine.load(content, threads=order.options.threads)


class XGBoostEngine(TreeEngine):
    """One booster: FP32 ``data`` in, NaN where a value is missing; ``prediction`` out, as ``Booster.predict`` gives it.

    By the objective it is a probability, one for each class, a class (``multi:softmax``), a margin
    (``binary:logitraw``) or a number.

    All rounds are used, also when training stopped early: slice the booster to its best round before saving it.
    """

    platform = "xgboost"
    datatype = "FP32"
    failures = (xgboost.core.XGBoostError, ValueError)

    def __init__(self, booster: Any, facts: XGBoostFacts) -> None:
        one = facts.outputs == 1 or facts.objective == "multi:softmax"
        super().__init__(booster, facts.features, () if one else (facts.outputs,))
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
            engine._try(facts.objective)
        except (*cls.failures, TypeError) as error:
            raise ModelRefused(f"XGBoost cannot load the file: {in_words(error)}.") from error
        return engine

    def _compute(self, rows: Array) -> Any:
        if self._in_place:
            return self._booster.inplace_predict(rows, missing=np.nan, validate_features=False)
        # of linear models XGBoost knows only this way
        return self._booster.predict(xgboost.DMatrix(rows, missing=np.nan), validate_features=False)
