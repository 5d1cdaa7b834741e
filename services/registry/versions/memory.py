"""Versions in memory."""

import dataclasses
from collections.abc import Mapping, Sequence

from headwater.names import ModelName, ModelVersionName, ProjectName
from services.registry.ids import is_id
from services.registry.models.model import Model
from services.registry.search import memory
from services.registry.search.pages import Position, Tie
from services.registry.states import State
from services.registry.versions.errors import ModelVersionNotFound
from services.registry.versions.model import ModelVersion, View, Which
from services.registry.versions.searching import Search, lookup
from services.registry.versions.store import VersionStore

VersionKey = tuple[str, int]
"""Model id and number."""


class MemoryVersions(VersionStore):
    """See VersionStore."""

    def __init__(self, versions: dict[VersionKey, ModelVersion], models: Mapping[str, Model]) -> None:
        self._versions = versions
        self._models = models  # by id

    async def add(self, version: ModelVersion) -> None:
        """See VersionStore."""
        self._versions[version.model_id, version.version] = version

    async def get(self, name: ModelName, which: Which, *, view: View = View.FULL) -> ModelVersion:
        """See VersionStore."""
        for version in self._versions.values():
            model = self._models[version.model_id]
            called = model.id if is_id(name.model) else model.model
            if (model.project, called) == (name.project, name.model) and which in (
                version.version,
                version.semantic_version,
            ):
                return self._seen(version, view)
        raise ModelVersionNotFound(model=name, version=which)

    async def find(self, names: Sequence[ModelVersionName], *, view: View = View.BASIC) -> Sequence[ModelVersion]:
        """See VersionStore."""
        every = (self._seen(version, view) for version in self._versions.values())
        return [version for version in every if version.name in names]

    async def search(
        self, scope: Model | ProjectName, search: Search, *, view: View = View.FULL
    ) -> Sequence[tuple[ModelVersion, Position]]:
        """See VersionStore."""

        def tie(version: ModelVersion) -> Tie:
            return version.version if isinstance(scope, Model) else version.id

        found = [
            version
            for version in self._versions.values()
            if (version.model_id == scope.id if isinstance(scope, Model) else version.project == scope.project)
            and (search.show_inactive or self._in_use(version, scope))
            and memory.matches(search.condition, version, lookup)
        ]
        if search.after is not None:
            found = memory.after(found, search.after, search.order, lookup, tie)
        return [
            (self._seen(version, view), memory.position_of(version, search.order, lookup, tie))
            for version in memory.in_order(found, search.order, lookup, tie)[: search.limit]
        ]

    async def update(self, version: ModelVersion) -> None:
        """See VersionStore."""
        stored = self._versions[version.model_id, version.version]
        self._versions[version.model_id, version.version] = dataclasses.replace(version, files=stored.files)

    def _in_use(self, version: ModelVersion, scope: Model | ProjectName) -> bool:
        """Who asks for the versions of one model knows whether that is in use."""
        model_in_use = isinstance(scope, Model) or self._models[version.model_id].state is State.ACTIVE
        return version.state is State.ACTIVE and model_in_use

    def _seen(self, version: ModelVersion, view: View) -> ModelVersion:
        model = self._models[version.model_id]
        seen = dataclasses.replace(
            version,
            model=model.model,
            model_state=model.state,
            model_replacement=model.replacement,
            model_archived_name=model.archived_name,
            aliases=sorted(alias for alias, number in model.aliases.items() if number == version.version),
        )
        return seen.basic() if view is View.BASIC else seen
