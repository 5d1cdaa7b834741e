"""Models and objectives as values."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Self

from headwater.names import ModelName, ObjectiveName
from headwater.semver import SemVer
from services.registry.states import State


class Stage(enum.IntEnum):
    """Where a version stands; the numbers are those of ``headwater.artifact.v1.ModelMetadata.Stage``."""

    DEVELOPMENT = 1
    STAGING = 2
    PRODUCTION = 3
    ARCHIVED = 4


EXCLUSIVE = frozenset({Stage.STAGING, Stage.PRODUCTION})
"""Stages that one version of a model holds at most. A version may go from any stage to any other."""


class Comparison(enum.IntEnum):
    """How a value is compared with the bound; the numbers are those of ``Objective.Comparison``."""

    AT_LEAST = 1
    AT_MOST = 2


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """What a caller says of a model."""

    display_name: str = ""
    description: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """A registered model. ``revision`` grows with every change; ``latest_version`` is 0 while there is none.

    Attributes:
        model: the last segment of its resource name. Of an archived model that is its id: the name that it had until
            then, ``archived_name``, is free again.
        latest_semantic_version: the highest that was given out, None while there is none.
        replacement: the resource name of what to use instead; only of a deprecated model.
    """

    id: str
    project: str
    project_id: str
    model: str
    display_name: str
    description: str
    create_time: datetime.datetime
    created_by: str
    update_time: datetime.datetime
    latest_version: int = 0
    latest_semantic_version: SemVer | None = None
    revision: int = 1
    state: State = State.ACTIVE
    replacement: str = ""
    archived_name: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    aliases: Mapping[str, int] = dataclasses.field(default_factory=dict)
    stages: Mapping[Stage, int] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> ModelName:
        """Its resource name."""
        return ModelName(self.project, self.model)

    @property
    def model_id(self) -> str:
        """The name that people know it by, also when it is archived."""
        return self.archived_name or self.model

    def changed(self, time: datetime.datetime, **changes: object) -> Self:
        """This model after a change."""
        return dataclasses.replace(self, **changes, update_time=time, revision=self.revision + 1)  # type: ignore[arg-type]

    def with_version(self, number: int, time: datetime.datetime, semantic: SemVer | None = None) -> Self:
        """This model after version ``number`` was registered, with the semantic version ``semantic``."""
        highest = semantic or self.latest_semantic_version
        return self.changed(time, latest_version=number, latest_semantic_version=highest)


@dataclasses.dataclass(frozen=True, slots=True)
class NewObjective:
    """What a caller says of an objective to be."""

    objective: str
    stage: Stage
    metric: str
    comparison: Comparison
    bound: float


@dataclasses.dataclass(frozen=True, slots=True)
class Objective:
    """A bound that a version must meet before it may enter ``stage``."""

    id: str
    model_id: str
    objective: str
    stage: Stage
    metric: str
    comparison: Comparison
    bound: float
    create_time: datetime.datetime
    created_by: str

    def name_in(self, model: ModelName) -> ObjectiveName:
        """Its resource name."""
        return ObjectiveName(model.project, model.model, self.objective)
