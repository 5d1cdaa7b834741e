"""Moves in memory."""

import dataclasses
import datetime
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from headwater.names import ModelName
from services.registry.models.model import Model, Stage
from services.registry.moves.model import AliasChange, History, Pointer, Transition
from services.registry.moves.store import MoveStore, PointerReader
from services.registry.versions.model import ModelVersion, View

Transitions = list[tuple[str, Transition]]
"""With the model's id, oldest first."""
AliasChanges = list[tuple[str, AliasChange]]


class MemoryMoves(MoveStore):
    """See MoveStore."""

    def __init__(
        self, transitions: Transitions, changes: AliasChanges, set_alias: Callable[[Model, str, int], None]
    ) -> None:
        self._transitions = transitions
        self._changes = changes
        self._set_alias = set_alias

    async def add_transition(self, model: Model, transition: Transition) -> None:
        """See MoveStore."""
        numbered = dataclasses.replace(transition, sequence=len(self._transitions) + 1)
        self._transitions.append((model.id, numbered))

    async def transitions(self, model: Model, *, before: int | None = None, limit: int) -> Sequence[Transition]:
        """See MoveStore."""
        return [
            move
            for model_id, move in reversed(self._transitions)
            if model_id == model.id and (before is None or move.sequence < before)
        ][:limit]

    async def set_alias(self, model: Model, change: AliasChange) -> None:
        """See MoveStore."""
        self._set_alias(model, change.alias, change.to_version)
        self._changes.append((model.id, dataclasses.replace(change, sequence=len(self._changes) + 1)))

    async def alias_changes(
        self, model: Model, *, alias: str = "", before: int | None = None, limit: int
    ) -> Sequence[AliasChange]:
        """See MoveStore."""
        return [
            change
            for model_id, change in reversed(self._changes)
            if model_id == model.id and alias in ("", change.alias) and (before is None or change.sequence < before)
        ][:limit]

    async def histories(self, model_ids: Collection[str]) -> Mapping[str, History]:
        """See MoveStore."""
        return {
            model_id: History(
                [move for owner, move in self._transitions if owner == model_id],
                [change for owner, change in self._changes if owner == model_id],
            )
            for model_id in model_ids
        }

    async def holder_at(self, model: Model, stage: Stage, time: datetime.datetime) -> int | None:
        """See MoveStore."""
        for model_id, move in reversed(self._transitions):
            if model_id == model.id and move.time <= time and stage in (move.from_stage, move.to_stage):
                return move.version if move.to_stage is stage else None
        return None

    async def aliased_at(self, model: Model, alias: str, time: datetime.datetime) -> int | None:
        """See MoveStore."""
        for model_id, change in reversed(self._changes):
            if model_id == model.id and change.alias == alias and change.time <= time:
                return change.to_version or None
        return None


class MemoryPointers(PointerReader):
    """See PointerReader; ``read`` does it in a transaction."""

    def __init__(self, read: Callable[[ModelName, Pointer, View], Awaitable[ModelVersion | None]]) -> None:
        self._read = read

    async def pointed_to(self, name: ModelName, pointer: Pointer, view: View) -> ModelVersion | None:
        """See PointerReader."""
        return await self._read(name, pointer, view)
