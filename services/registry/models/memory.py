"""Models and their versions in memory."""

import dataclasses
from collections.abc import Sequence

from headwater.names import ModelName, ModelVersionName
from services.registry.models.errors import ModelNotFound, ModelVersionNotFound
from services.registry.models.model import EXCLUSIVE, Model, ModelVersion, Objective, Stage, Transition
from services.registry.models.store import ModelStore, VersionStore

VersionKey = tuple[str, int]
"""Model id and number."""


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
            self._models[key], latest_version=model.latest_version, revision=model.revision
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


class MemoryVersions(VersionStore):
    """See VersionStore."""

    def __init__(self, versions: dict[VersionKey, ModelVersion], transitions: list[tuple[str, Transition]]) -> None:
        self._versions = versions
        self._transitions = transitions  # with the model's id, oldest first

    async def add(self, version: ModelVersion) -> None:
        """See VersionStore."""
        self._versions[version.model_id, version.version] = version

    async def get(self, name: ModelName, number: int) -> ModelVersion:
        """See VersionStore."""
        wanted = ModelVersionName(name.project, name.model, str(number))
        for version in self._versions.values():
            if version.name == wanted:
                return version
        raise ModelVersionNotFound(model=name, version=number)

    async def find(self, names: Sequence[ModelVersionName]) -> Sequence[ModelVersion]:
        """See VersionStore."""
        return [_without_tensors(version) for version in self._versions.values() if version.name in names]

    async def page(self, model: Model, *, before: int | None, limit: int) -> Sequence[ModelVersion]:
        """See VersionStore."""
        numbers = sorted((number for model_id, number in self._versions if model_id == model.id), reverse=True)
        return [self._versions[model.id, number] for number in numbers if before is None or number < before][:limit]

    async def move(self, version: ModelVersion) -> None:
        """See VersionStore."""
        self._versions[version.model_id, version.version] = version

    async def add_transition(self, model: Model, transition: Transition) -> None:
        """See VersionStore."""
        numbered = dataclasses.replace(transition, sequence=len(self._transitions) + 1)
        self._transitions.append((model.id, numbered))

    async def transitions(self, model: Model, *, before: int | None, limit: int) -> Sequence[Transition]:
        """See VersionStore."""
        return [
            transition
            for model_id, transition in reversed(self._transitions)
            if model_id == model.id and (before is None or transition.sequence < before)
        ][:limit]


def _without_tensors(version: ModelVersion) -> ModelVersion:
    return dataclasses.replace(version, files=[dataclasses.replace(file, tensors=[]) for file in version.files])
