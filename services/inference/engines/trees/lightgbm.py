"""Models of LightGBM, computed by LightGBM."""

from typing import Any, Self

import lightgbm

from services.inference.engines.cause import in_words
from services.inference.engines.engine import Engine, ModelRefused
from services.inference.engines.order import Order
from services.inference.engines.trees.engine import TreeEngine
from services.inference.engines.trees.lightgbm_file import LightGBMFacts, check_lightgbm
from services.inference.tensors.model import Array


def load(content: bytes, order: Order) -> Engine:
    """See engines.loader."""
    return LightGBMEngine.load(content, threads=order.options.threads)


class LightGBMEngine(TreeEngine):
    """One booster: FP64 ``data`` in, NaN where a value is missing, categories by their codes; ``prediction`` out, which
    is what ``Booster.predict`` gives: probabilities, or numbers, by the objective."""

    platform = "lightgbm"
    datatype = "FP64"
    failures = (lightgbm.basic.LightGBMError, ValueError)

    def __init__(self, booster: Any, facts: LightGBMFacts, threads: int) -> None:
        super().__init__(booster, facts.features, (facts.outputs,) if facts.outputs > 1 else ())
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
            engine._try(facts.objective)
        except (*cls.failures, TypeError) as error:
            raise ModelRefused(f"LightGBM cannot load the file: {in_words(error)}.") from error
        return engine

    def _compute(self, rows: Array) -> Any:
        return self._booster.predict(rows, num_threads=self._threads, validate_features=False)
