"""The work of a job, behind the Engine interface: what loads files in a worker process loads this in their place.

It is asked once: the plan, the version's parity record and its pipeline go in; a report comes out, with the file that
was made and its parity record.
"""

import json
from collections.abc import Sequence

import numpy as np
from pydantic import TypeAdapter

from headwater.errors import HeadwaterError
from services.inference.conversions.evidence import Evidence
from services.inference.conversions.model import Plan
from services.inference.conversions.working import source as sources
from services.inference.conversions.working.convert import convert
from services.inference.conversions.working.outcome import Outcome
from services.inference.conversions.working.shape import ONE, SIGNATURE
from services.inference.conversions.working.tune import tune
from services.inference.engines.engine import Engine
from services.inference.engines.order import Order
from services.inference.tensors.model import Array

PLANS, EVIDENCE = TypeAdapter(Plan), TypeAdapter(Evidence)


def load(content: bytes, order: Order) -> Engine:
    """See engines.formats."""
    return Work(content, order)


class Work(Engine):
    """See Engine."""

    platform = "conversion"

    def __init__(self, content: bytes, order: Order) -> None:
        self.signature = SIGNATURE
        self._content = content
        self._order = order

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine. What cannot be done is said in the report."""
        plan, parity, pipeline = (bytes(array[0]) for array in inputs)
        wanted = PLANS.validate_json(plan)
        try:
            source = sources.load(self._content, self._order)
            work = tune if wanted.tuning else convert
            outcome = work(source, wanted, self._order, parity, pipeline.decode())
        except HeadwaterError as error:
            outcome = Outcome(None, failure_reason=error.reason, failure=error.message)
        report = {
            "evidence": EVIDENCE.dump_python(outcome.evidence, mode="json") if outcome.evidence else None,
            "failure_reason": outcome.failure_reason,
            "failure": outcome.failure,
            "format": outcome.format,
        }
        return [as_bytes(json.dumps(report).encode()), as_bytes(outcome.model), as_bytes(outcome.parity)]

    def stop(self) -> None:
        """See Engine. A job that is cancelled is ended with its process."""

    def close(self) -> None:
        """See Engine."""


def as_bytes(content: bytes) -> Array:
    """As a tensor of one element."""
    array = np.empty(ONE, np.object_)
    array[0] = content
    return array
