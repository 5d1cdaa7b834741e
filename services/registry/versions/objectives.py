"""Objectives are judged here, on the server, from the metrics of the version's run."""

from collections.abc import Mapping, Sequence

from services.registry.models.model import Comparison, Objective
from services.registry.versions.errors import ObjectiveNotMet

_WORDS = {Comparison.AT_LEAST: "at least", Comparison.AT_MOST: "at most"}


def is_met(objective: Objective, value: float | None) -> bool:
    """Whether ``value`` meets the objective; a metric that is missing or NaN never does."""
    if value is None:
        return False
    return value >= objective.bound if objective.comparison is Comparison.AT_LEAST else value <= objective.bound


def require(objectives: Sequence[Objective], metrics: Mapping[str, float]) -> None:
    """Go on if every objective is met.

    Raises:
        ObjectiveNotMet: naming the first one that is not.
    """
    for objective in objectives:
        value = metrics.get(objective.metric)
        if is_met(objective, value):
            continue
        told = "missing" if value is None else repr(value)
        raise ObjectiveNotMet(
            f"{objective.stage.name.lower()} needs {objective.metric} of {_WORDS[objective.comparison]} "
            f"{objective.bound!r}; it is {told} (objective {objective.objective}).",
            objective=objective.objective,
            metric=objective.metric,
            comparison=objective.comparison.name,
            bound=repr(objective.bound),
            value=told,
        )
