"""Histories of stages and aliases in PostgreSQL."""

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Table, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.models.model import Model, Stage
from services.registry.moves.model import AliasChange, Evidence, History, Transition, Why
from services.registry.moves.store import MoveStore
from services.registry.tables import model_alias_changes, model_aliases, stage_transitions


class PostgresMoves(MoveStore):
    """See MoveStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_transition(self, model: Model, transition: Transition) -> None:
        """See MoveStore."""
        row = {
            "version": transition.version,
            "from_stage": transition.from_stage,
            "to_stage": transition.to_stage,
            **_move_row(model, transition),
        }
        await self._connection.execute(insert(stage_transitions).values(row))

    async def transitions(self, model: Model, *, before: int | None = None, limit: int) -> Sequence[Transition]:
        """See MoveStore."""
        move = stage_transitions.c
        query = select(stage_transitions).where(move.model_id == model.id)
        if before is not None:
            query = query.where(move.sequence < before)
        rows = await self._connection.execute(query.order_by(move.sequence.desc()).limit(limit))
        return [_transition(row) for row in rows]

    async def set_alias(self, model: Model, change: AliasChange) -> None:
        """See MoveStore."""
        alias = model_aliases.c
        if change.to_version:
            row = insert(model_aliases).values(model_id=model.id, alias=change.alias, version=change.to_version)
            await self._connection.execute(
                row.on_conflict_do_update(index_elements=["model_id", "alias"], set_={"version": change.to_version})
            )
        else:
            await self._connection.execute(
                model_aliases.delete().where(alias.model_id == model.id, alias.alias == change.alias)
            )
        noted = {"alias": change.alias, "from_version": change.from_version, "to_version": change.to_version}
        await self._connection.execute(insert(model_alias_changes).values({**noted, **_move_row(model, change)}))

    async def alias_changes(
        self, model: Model, *, alias: str = "", before: int | None = None, limit: int
    ) -> Sequence[AliasChange]:
        """See MoveStore."""
        change = model_alias_changes.c
        query = select(model_alias_changes).where(change.model_id == model.id)
        if alias:
            query = query.where(change.alias == alias)
        if before is not None:
            query = query.where(change.sequence < before)
        rows = await self._connection.execute(query.order_by(change.sequence.desc()).limit(limit))
        return [_alias_change(row) for row in rows]

    async def histories(self, model_ids: Collection[str]) -> Mapping[str, History]:
        """See MoveStore."""
        transitions = await self._by_model(stage_transitions, model_ids)
        changes = await self._by_model(model_alias_changes, model_ids)
        return {
            model_id: History(
                [_transition(row) for row in transitions.get(model_id, ())],
                [_alias_change(row) for row in changes.get(model_id, ())],
            )
            for model_id in model_ids
        }

    async def _by_model(self, table: Table, model_ids: Collection[str]) -> Mapping[str, Sequence[Row[Any]]]:
        query = select(table).where(table.c.model_id.in_(list(model_ids))).order_by(table.c.sequence)
        found: dict[str, list[Row[Any]]] = {}
        for row in await self._connection.execute(query):
            found.setdefault(row.model_id, []).append(row)
        return found

    async def holder_at(self, model: Model, stage: Stage, time: datetime.datetime) -> int | None:
        """See MoveStore."""
        move = stage_transitions.c
        query = (
            select(move.version, move.to_stage)
            .where(move.model_id == model.id, move.time <= time)
            .where(or_(move.from_stage == stage, move.to_stage == stage))
            .order_by(move.time.desc(), move.sequence.desc())
            .limit(1)
        )
        last = (await self._connection.execute(query)).first()
        return last.version if last is not None and last.to_stage == stage else None

    async def aliased_at(self, model: Model, alias: str, time: datetime.datetime) -> int | None:
        """See MoveStore."""
        change = model_alias_changes.c
        query = (
            select(change.to_version)
            .where(change.model_id == model.id, change.alias == alias, change.time <= time)
            .order_by(change.time.desc(), change.sequence.desc())
            .limit(1)
        )
        return (await self._connection.execute(query)).scalar() or None


def _move_row(model: Model, move: Transition | AliasChange) -> Mapping[str, Any]:
    return {
        "model_id": model.id,
        "actor": move.actor,
        "time": move.time,
        "comment": move.why.comment,
        "evidence": [[each.description, each.uri, each.digest] for each in move.why.evidence],
    }


def _transition(row: Any) -> Transition:
    stages = (Stage(row.from_stage), Stage(row.to_stage))
    return Transition(row.version, *stages, row.actor, row.time, _why(row), sequence=row.sequence)


def _alias_change(row: Any) -> AliasChange:
    versions = (row.from_version, row.to_version)
    return AliasChange(row.alias, *versions, row.actor, row.time, _why(row), sequence=row.sequence)


def _why(row: Any) -> Why:
    return Why(row.comment, [Evidence(*each) for each in row.evidence])
