"""Models in memory."""

import dataclasses
from collections.abc import Sequence

from headwater.names import ModelName
from services.registry.models.errors import ModelNotFound
from services.registry.models.model import EXCLUSIVE, Model, Objective, Stage
from services.registry.models.store import ModelStore
from services.registry.versions.memory import VersionKey
from services.registry.versions.model import ModelVersion


class MemoryModels(ModelStore):
    """See ModelStore."""

    def __init__(
        self,
        models: dict[tuple[str, str], Model],
        versions: dict[VersionKey, ModelVersion],
        objectives: dict[tuple[str, str], Objective],
    ) -> None:
        self._models = models  # by project and name in lower case
        self._versions = versions
        self._objectives = objectives  # by model id and name in lower case

    async def add(self, model: Model) -> bool:
        """See ModelStore."""
        return self._models.setdefault((model.project, model.model.lower()), model) is model

    async def get(self, name: ModelName, *, lock: bool = False) -> Model:
        """See ModelStore."""
        model = self._models.get((name.project, name.model.lower()))
        if model is None or model.model != name.model:
            raise ModelNotFound(model=name)
        versions = (version for version in self._versions.values() if version.model_id == model.id)
        stages = {version.stage: version.version for version in versions if version.stage in EXCLUSIVE}
        return dataclasses.replace(model, stages=stages)

    async def page(self, project: str, *, after: str, limit: int) -> Sequence[Model]:
        """See ModelStore."""
        names = sorted(key for key in self._models if key[0] == project and key[1] > after)
        return [await self.get(self._models[key].name) for key in names[:limit]]

    async def update(self, model: Model) -> None:
        """See ModelStore."""
        key = model.project, model.model.lower()
        self._models[key] = dataclasses.replace(
            self._models[key],
            latest_version=model.latest_version,
            latest_semantic_version=model.latest_semantic_version,
            revision=model.revision,
        )

    async def set_alias(self, model: Model, alias: str, version: int | None) -> None:
        """See ModelStore."""
        key = model.project, model.model.lower()
        aliases = {name: number for name, number in self._models[key].aliases.items() if name != alias}
        if version is not None:
            aliases[alias] = version
        self._models[key] = dataclasses.replace(self._models[key], aliases=dict(sorted(aliases.items())))

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
