"""Projects as values."""

import dataclasses
import datetime
from collections.abc import Mapping

from services.registry.states import State


@dataclasses.dataclass(frozen=True, slots=True)
class Project:
    """A workspace. ``name`` is the last segment of its resource name; ``sequence`` tells which of two is older."""

    id: str
    name: str
    display_name: str
    description: str
    annotations: Mapping[str, str]
    create_time: datetime.datetime
    sequence: int = 0
    state: State = State.ACTIVE


@dataclasses.dataclass(frozen=True, slots=True)
class NewProject:
    """What a caller says of a project to be."""

    name: str
    display_name: str
    description: str
    annotations: Mapping[str, str]
