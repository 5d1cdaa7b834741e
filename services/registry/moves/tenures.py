"""When a version had which stages and aliases, read from the histories of their moves."""

import dataclasses
import datetime
from collections.abc import Iterator, Sequence

from services.registry.models.model import EXCLUSIVE
from services.registry.moves.model import AliasChange, Transition


@dataclasses.dataclass(frozen=True, slots=True)
class Tenure:
    """A time that a version had a stage (``staging``, ``production``) or an alias; it lasts where ``end`` is None."""

    pointer: str
    is_stage: bool
    start: datetime.datetime
    end: datetime.datetime | None


def tenures(version: int, transitions: Sequence[Transition], changes: Sequence[AliasChange]) -> list[Tenure]:
    """Those of the version with this number, the earliest first. ``transitions`` and ``changes`` are those of its
    model, the oldest first."""
    steps = sorted([*_of_stages(version, transitions), *_of_aliases(version, changes)])
    found: list[Tenure] = []
    lasting: dict[tuple[str, bool], int] = {}
    for time, begins, pointer, is_stage in steps:
        if begins:
            lasting[pointer, is_stage] = len(found)
            found.append(Tenure(pointer, is_stage, time, None))
        else:
            place = lasting.pop((pointer, is_stage), None)
            if place is not None:  # else it began before moves were noted
                found[place] = dataclasses.replace(found[place], end=time)
    return found


# A step that ends comes before one that begins at the same time: False is less than True.
_Step = tuple[datetime.datetime, bool, str, bool]


def _of_stages(version: int, transitions: Sequence[Transition]) -> Iterator[_Step]:
    for move in transitions:
        if move.version == version and move.from_stage != move.to_stage:
            if move.from_stage in EXCLUSIVE:
                yield move.time, False, move.from_stage.name.lower(), True
            if move.to_stage in EXCLUSIVE:
                yield move.time, True, move.to_stage.name.lower(), True


def _of_aliases(version: int, changes: Sequence[AliasChange]) -> Iterator[_Step]:
    for change in changes:
        if change.from_version == version:
            yield change.time, False, change.alias, False
        if change.to_version == version:
            yield change.time, True, change.alias, False
