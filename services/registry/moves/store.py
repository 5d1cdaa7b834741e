"""What must be remembered of moves, and the quick way to what they lead to."""

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from headwater.names import ModelName
from services.registry.models.model import Model, Stage
from services.registry.moves.model import AliasChange, History, Pointer, Transition
from services.registry.versions.model import ModelVersion, View


class MoveStore(Protocol):
    """The histories of stages and aliases, as one transaction sees them. Nothing is ever changed or removed."""

    async def add_transition(self, model: Model, transition: Transition) -> None:
        """Add a move of a version of ``model``, which is locked; its ``sequence`` is given by the store."""

    async def transitions(self, model: Model, *, before: int | None = None, limit: int) -> Sequence[Transition]:
        """Moves older than the one with sequence ``before``, newest first."""

    async def set_alias(self, model: Model, change: AliasChange) -> None:
        """Point an alias of ``model``, which is locked, at another version or at none, and add this to its history."""

    async def alias_changes(
        self, model: Model, *, alias: str = "", before: int | None = None, limit: int
    ) -> Sequence[AliasChange]:
        """Moves of one alias, or of all, older than the one with sequence ``before``, newest first."""

    async def histories(self, model_ids: Collection[str]) -> Mapping[str, History]:
        """All moves of these models, by the model's id; a model without any may be missing."""

    async def holder_at(self, model: Model, stage: Stage, time: datetime.datetime) -> int | None:
        """The version that held ``stage`` at ``time``; None where none did."""

    async def aliased_at(self, model: Model, alias: str, time: datetime.datetime) -> int | None:
        """The version that ``alias`` pointed to at ``time``; None where it pointed to none."""


class PointerReader(Protocol):
    """The hot path of everybody who serves a model."""

    async def pointed_to(self, name: ModelName, pointer: Pointer, view: View) -> ModelVersion | None:
        """The version that ``pointer`` points to in what is committed; None where there is none, or no such model."""
