"""Logged models in memory."""

import dataclasses
from collections.abc import Mapping, Sequence

from headwater.names import LoggedModelName
from services.registry.experiments.model import Experiment
from services.registry.logged_models.errors import LoggedModelNotFound
from services.registry.logged_models.model import DataMetric, LoggedModel, last_of_each
from services.registry.logged_models.searching import Search, lookup_in
from services.registry.logged_models.store import LoggedModelStore
from services.registry.search import memory
from services.registry.search.pages import Position, Tie
from services.registry.versions.memory import VersionKey
from services.registry.versions.model import ModelVersion


class MemoryLoggedModels(LoggedModelStore):
    """See LoggedModelStore."""

    def __init__(
        self,
        logged: dict[str, LoggedModel],
        versions: dict[VersionKey, ModelVersion],
        experiments: Mapping[str, Experiment],
    ) -> None:
        self._logged = logged  # by id, oldest first; with all their metrics
        self._versions = versions
        self._experiments = experiments

    async def add(self, logged: LoggedModel) -> None:
        """See LoggedModelStore."""
        self._logged[logged.id] = dataclasses.replace(logged, sequence=len(self._logged) + 1)

    async def get(self, name: LoggedModelName, *, lock: bool = False) -> LoggedModel:
        """See LoggedModelStore."""
        logged = self._logged.get(name.logged_model)
        if logged is None or logged.project != name.project:
            raise LoggedModelNotFound(logged_model=name)
        made = sorted(
            (version.model, version.version, str(version.name))
            for version in self._versions.values()
            if version.logged_model == str(name)
        )
        return dataclasses.replace(
            logged,
            metrics=() if lock else last_of_each(logged.metrics),
            model_versions=[version for _, _, version in made],
            experiment=str(self._experiments[logged.experiment_id].name),
        )

    async def search(self, project: str, search: Search) -> Sequence[tuple[LoggedModel, Position]]:
        """See LoggedModelStore."""
        lookup = lookup_in(search.data)

        def tie(logged: LoggedModel) -> Tie:
            return logged.sequence

        found = [
            logged
            for logged in self._logged.values()
            if logged.project == project
            and (search.show_archived or not logged.archived)
            and (not search.experiments or logged.experiment_id in search.experiments)
            and memory.matches(search.condition, logged, lookup)
        ]
        if search.after is not None:
            found = memory.after(found, search.after, search.order, lookup, tie)
        in_order = memory.in_order(found, search.order, lookup, tie)[: search.limit]
        return [
            (await self.get(logged.name), memory.position_of(logged, search.order, lookup, tie)) for logged in in_order
        ]

    async def update(self, logged: LoggedModel) -> None:
        """See LoggedModelStore."""
        self._logged[logged.id] = dataclasses.replace(logged, metrics=self._logged[logged.id].metrics)

    async def add_metrics(self, logged: LoggedModel, metrics: Sequence[DataMetric]) -> int:
        """See LoggedModelStore."""
        points = {metric.identity: metric for metric in self._logged[logged.id].metrics}
        before = len(points)
        for metric in metrics:
            points.setdefault(metric.identity, metric)
        in_order = sorted(points.values(), key=lambda each: each.identity)
        self._logged[logged.id] = dataclasses.replace(self._logged[logged.id], metrics=in_order)
        return len(points) - before
