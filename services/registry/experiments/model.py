"""Experiments as values."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Self

from chassis.ids import new_id
from headwater.names import ExperimentName
from services.registry.projects.model import Project
from services.registry.states import State

DEFAULT = "default"
"""The experiment that every project has: runs that name no other belong to it."""


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """What a caller says of an experiment."""

    display_name: str = ""
    description: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Experiment:
    """Runs that belong together. ``revision`` grows with every change; ``sequence`` tells which of two is older.

    Attributes:
        experiment: the last segment of its resource name. Of an archived one that is its id: the name that it had until
            then, ``archived_name``, is free again.
        replacement: the resource name of what to use instead; only of a deprecated one.
    """

    id: str
    project: str
    project_id: str
    experiment: str
    display_name: str
    description: str
    tags: Mapping[str, str]
    create_time: datetime.datetime
    created_by: str
    update_time: datetime.datetime
    state: State = State.ACTIVE
    replacement: str = ""
    archived_name: str = ""
    revision: int = 1
    sequence: int = 0

    @property
    def name(self) -> ExperimentName:
        """Its resource name."""
        return ExperimentName(self.project, self.experiment)

    @property
    def is_default(self) -> bool:
        """Whether it is the one that every project has."""
        return self.experiment == DEFAULT

    def changed(self, time: datetime.datetime, **changes: object) -> Self:
        """This experiment after a change."""
        return dataclasses.replace(self, **changes, update_time=time, revision=self.revision + 1)  # type: ignore[arg-type]


def new_experiment(project: Project, segment: str, about: About, actor: str, now: datetime.datetime) -> Experiment:
    """An experiment to be added."""
    return Experiment(
        id=new_id(),
        project=project.name,
        project_id=project.id,
        experiment=segment,
        display_name=about.display_name,
        description=about.description,
        tags=about.tags,
        create_time=now,
        created_by=actor,
        update_time=now,
    )


def default_of(project: Project, actor: str, now: datetime.datetime) -> Experiment:
    """The experiment that a new project begins with."""
    return new_experiment(project, DEFAULT, About("Default"), actor, now)
