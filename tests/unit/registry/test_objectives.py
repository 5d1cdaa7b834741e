"""Objectives are met by numbers, and by nothing else."""

import datetime
import math

import pytest

from services.registry.models.model import Comparison, Objective, Stage
from services.registry.versions.objectives import is_met

_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def _objective(comparison: Comparison, bound: float) -> Objective:
    return Objective("id", "model", "name", Stage.PRODUCTION, "metric", comparison, bound, _TIME, "tester")


@pytest.mark.parametrize(
    ("comparison", "value", "met"),
    [
        (Comparison.AT_LEAST, 0.95, True),
        (Comparison.AT_LEAST, 0.96, True),
        (Comparison.AT_LEAST, math.inf, True),
        (Comparison.AT_LEAST, 0.9499999, False),
        (Comparison.AT_LEAST, math.nan, False),
        (Comparison.AT_LEAST, None, False),
        (Comparison.AT_MOST, 0.95, True),
        (Comparison.AT_MOST, -math.inf, True),
        (Comparison.AT_MOST, 0.9500001, False),
        (Comparison.AT_MOST, math.nan, False),
        (Comparison.AT_MOST, None, False),
    ],
)
def test_the_bound_itself_is_good_enough_and_no_number_never_is(
    comparison: Comparison, value: float | None, met: bool
) -> None:
    assert is_met(_objective(comparison, 0.95), value) is met
