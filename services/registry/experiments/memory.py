"""Experiments in memory."""

import dataclasses
from collections.abc import Sequence

from headwater.names import ExperimentName
from services.registry.experiments.errors import ExperimentAlreadyExists, ExperimentNotFound
from services.registry.experiments.model import Experiment
from services.registry.experiments.store import ExperimentStore
from services.registry.search import memory
from services.registry.search.fields import Field
from services.registry.search.orders import Order
from services.registry.search.pages import Position, Tie
from services.registry.search.tree import Condition, Value
from services.registry.states import State


class MemoryExperiments(ExperimentStore):
    """See ExperimentStore."""

    def __init__(self, experiments: dict[str, Experiment]) -> None:
        self._experiments = experiments  # by id, oldest first

    async def add(self, experiment: Experiment) -> None:
        """See ExperimentStore."""
        self._check_free(experiment)
        self._experiments[experiment.id] = dataclasses.replace(experiment, sequence=len(self._experiments) + 1)

    async def get(self, name: ExperimentName, *, lock: bool = False, settled: bool = False) -> Experiment:
        """See ExperimentStore."""
        for each in self._experiments.values():
            if each.project == name.project and name.experiment in (each.id, each.experiment):
                return each
        raise ExperimentNotFound(experiment=name)

    async def search(
        self, project: str, condition: Condition, order: Order, *, after: Position | None, limit: int
    ) -> Sequence[tuple[Experiment, Position]]:
        """See ExperimentStore."""

        def tie(experiment: Experiment) -> Tie:
            return experiment.id if order.keys else experiment.sequence

        found = [each for each in self._experiments.values() if each.project == project]
        found = [each for each in found if memory.matches(condition, each, _lookup)]
        if after is not None:
            found = memory.after(found, after, order, _lookup, tie)
        ordered = memory.in_order(found, order, _lookup, tie)[:limit]
        return [(each, memory.position_of(each, order, _lookup, tie)) for each in ordered]

    async def update(self, experiment: Experiment, before: ExperimentName) -> None:
        """See ExperimentStore."""
        self._check_free(experiment)
        self._experiments[experiment.id] = experiment
        for each in list(self._experiments.values()):
            if each.replacement == str(before):
                self._experiments[each.id] = dataclasses.replace(each, replacement=str(experiment.name))

    def _check_free(self, experiment: Experiment) -> None:
        for other in self._experiments.values():
            if other.id == experiment.id or other.project != experiment.project:
                continue
            in_use = State.ARCHIVED not in (other.state, experiment.state)
            same_display_name = experiment.display_name and other.display_name == experiment.display_name
            if other.experiment.lower() == experiment.experiment.lower() or (in_use and same_display_name):
                raise ExperimentAlreadyExists(experiment=experiment.name)


def _lookup(experiment: Experiment, field: Field) -> Value | None:
    match field.name:
        case "tags":
            return experiment.tags.get(field.key)
        case "name":
            return experiment.display_name or experiment.experiment
        case "uid":
            return experiment.id
    value: Value = getattr(experiment, field.name)
    return value
