"""Models in memory."""

import dataclasses
from collections.abc import Sequence

from headwater.names import ModelName
from services.registry.ids import is_id
from services.registry.models.errors import ModelAlreadyExists, ModelNotFound
from services.registry.models.model import EXCLUSIVE, Model, Objective, Stage
from services.registry.models.searching import Search, lookup
from services.registry.models.store import ModelStore
from services.registry.search import memory
from services.registry.search.pages import Position
from services.registry.states import State
from services.registry.versions.memory import VersionKey
from services.registry.versions.model import ModelVersion


class MemoryModels(ModelStore):
    """See ModelStore."""

    def __init__(
        self,
        models: dict[str, Model],
        versions: dict[VersionKey, ModelVersion],
        objectives: dict[tuple[str, str], Objective],
    ) -> None:
        self._models = models  # by id
        self._versions = versions
        self._objectives = objectives  # by model id and name in lower case

    async def add(self, model: Model) -> bool:
        """See ModelStore."""
        if self._is_taken(model):
            return False
        self._models[model.id] = model
        return True

    async def get(self, name: ModelName, *, lock: bool = False, settled: bool = False) -> Model:
        """See ModelStore."""
        for model in self._models.values():
            if model.project == name.project and name.model == (model.id if is_id(name.model) else model.model):
                return self._whole(model)
        raise ModelNotFound(model=name)

    async def search(self, project: str, search: Search) -> Sequence[tuple[Model, Position]]:
        """See ModelStore."""
        found = [
            self._whole(model)
            for model in self._models.values()
            if model.project == project
            and (search.show_inactive or model.state is State.ACTIVE)
            and memory.matches(search.condition, model, lookup)
        ]
        if search.after is not None:
            found = memory.after(found, search.after, search.order, lookup, _id)
        ordered = memory.in_order(found, search.order, lookup, _id)[: search.limit]
        return [(model, memory.position_of(model, search.order, lookup, _id)) for model in ordered]

    async def update(self, model: Model) -> None:
        """See ModelStore."""
        stored = self._models[model.id]
        self._models[model.id] = dataclasses.replace(model, model=stored.model, aliases=stored.aliases)

    async def rename(self, model: Model, before: ModelName) -> None:
        """See ModelStore."""
        if self._is_taken(model):
            raise ModelAlreadyExists(model=model.name)
        self._models[model.id] = dataclasses.replace(model, aliases=self._models[model.id].aliases)
        for each in list(self._models.values()):
            if each.replacement == str(before):
                self._models[each.id] = dataclasses.replace(each, replacement=str(model.name))
        old, new = f"{before}/versions/", f"{model.name}/versions/"
        for key, version in list(self._versions.items()):
            if version.replacement.startswith(old):
                replacement = new + version.replacement.removeprefix(old)
                self._versions[key] = dataclasses.replace(version, replacement=replacement)

    def set_alias(self, model: Model, alias: str, version: int) -> None:
        """Point ``alias`` at ``version``, or at none where that is 0."""
        aliases = {name: number for name, number in self._models[model.id].aliases.items() if name != alias}
        if version:
            aliases[alias] = version
        self._models[model.id] = dataclasses.replace(self._models[model.id], aliases=dict(sorted(aliases.items())))

    async def add_objective(self, objective: Objective) -> bool:
        """See ModelStore."""
        key = objective.model_id, objective.objective.lower()
        return self._objectives.setdefault(key, objective) is objective

    async def objectives(
        self, model: Model, *, stage: Stage | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[Objective]:
        """See ModelStore."""
        return [
            objective
            for (model_id, name), objective in sorted(self._objectives.items(), key=lambda item: item[0])
            if model_id == model.id and name > after and stage in (None, objective.stage)
        ][:limit]

    def _is_taken(self, model: Model) -> bool:
        return any(
            other.project == model.project and other.model.lower() == model.model.lower() and other.id != model.id
            for other in self._models.values()
        )

    def _whole(self, model: Model) -> Model:
        versions = (version for version in self._versions.values() if version.model_id == model.id)
        stages = {version.stage: version.version for version in versions if version.stage in EXCLUSIVE}
        return dataclasses.replace(model, stages=stages)


def _id(model: Model) -> str:
    return model.id
