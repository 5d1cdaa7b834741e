"""Moves of stages and aliases as values."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import TypeAlias

from services.registry.models.model import Stage

Pointer: TypeAlias = Stage | str
"""What points to one version: a stage that one version holds, or an alias in lower case."""

_TICK = datetime.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """Something that a decision rests on; ``uri`` is kept as text and never followed."""

    description: str
    uri: str
    digest: str


@dataclasses.dataclass(frozen=True, slots=True)
class Why:
    """Why something is moved, for its history."""

    comment: str = ""
    evidence: Sequence[Evidence] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """One move of a version between stages; ``sequence`` tells which of two is older."""

    version: int
    from_stage: Stage
    to_stage: Stage
    actor: str
    time: datetime.datetime
    why: Why
    sequence: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class AliasChange:
    """One move of an alias; 0 stands for no version. ``sequence`` tells which of two is older."""

    alias: str
    from_version: int
    to_version: int
    actor: str
    time: datetime.datetime
    why: Why
    sequence: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class History:
    """All moves of one model, the oldest first."""

    transitions: Sequence[Transition] = ()
    alias_changes: Sequence[AliasChange] = ()


def after(last: Sequence[Transition | AliasChange], now: datetime.datetime) -> datetime.datetime:
    """When a move takes place: now, but later than the last one even if the database's clock was set back, so that what
    held at a time stays the answer for that time."""
    return max([now, *(move.time + _TICK for move in last)])
