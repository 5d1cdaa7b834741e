"""Versions in memory."""

import dataclasses
from collections.abc import Sequence

from headwater.names import ModelName, ModelVersionName
from services.registry.models.model import Model
from services.registry.versions.errors import ModelVersionNotFound
from services.registry.versions.model import ModelVersion, Transition
from services.registry.versions.store import VersionStore

VersionKey = tuple[str, int]
"""Model id and number."""


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
