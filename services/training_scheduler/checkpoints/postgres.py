"""Checkpoints in PostgreSQL."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.training_scheduler.checkpoints.model import KEEPING, CheckpointState, StoredCheckpoint
from services.training_scheduler.errors import CheckpointBeingCollected
from services.training_scheduler.jobs.model import ALLOWED, State
from services.training_scheduler.store import CheckpointStore
from services.training_scheduler.tables import checkpoints, jobs

_ENDED = [state.value for state in State if not ALLOWED[state]]
_KEEPING = [state.value for state in KEEPING]


class PostgresCheckpoints(CheckpointStore):
    """See CheckpointStore. Who announces and who condemns the same bytes queue on a lock of their digest."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def announce(self, stored: StoredCheckpoint) -> StoredCheckpoint:
        """See CheckpointStore."""
        digest = stored.checkpoint.digest
        await self._lock(digest)
        collecting = and_(checkpoints.c.digest == digest, checkpoints.c.state == CheckpointState.COLLECTING)
        if (await self._connection.execute(select(exists().where(collecting)))).scalar_one():
            raise CheckpointBeingCollected(retry_after_ms=500, digest=digest)
        values = _values(stored, CheckpointState.UPLOADING)
        added = insert(checkpoints).values(values).returning(checkpoints.c.sequence)
        return dataclasses.replace(stored, sequence=(await self._connection.execute(added)).scalar_one())

    async def commit(self, stored: StoredCheckpoint, keep: int) -> None:
        """See CheckpointStore."""
        await self._set(stored, CheckpointState.COMMITTED)
        committed = and_(checkpoints.c.job_id == stored.job_id, checkpoints.c.state == CheckpointState.COMMITTED)
        newest = select(checkpoints.c.sequence).where(committed).order_by(checkpoints.c.sequence.desc()).limit(keep)
        dropped = update(checkpoints).where(committed, checkpoints.c.sequence.not_in(newest))
        await self._connection.execute(dropped.values(state=CheckpointState.DROPPED))

    async def drop(self, stored: StoredCheckpoint) -> None:
        """See CheckpointStore."""
        if await self._set(stored, CheckpointState.DROPPED) == 0:
            await self._connection.execute(insert(checkpoints).values(_values(stored, CheckpointState.DROPPED)))

    async def drop_abandoned(self) -> int:
        """See CheckpointStore."""
        over = or_(jobs.c.state.in_(_ENDED), jobs.c.fencing_token != checkpoints.c.fencing_token)
        abandoned = and_(checkpoints.c.state == CheckpointState.UPLOADING, jobs.c.id == checkpoints.c.job_id, over)
        dropped = update(checkpoints).where(abandoned).values(state=CheckpointState.DROPPED)
        return (await self._connection.execute(dropped)).rowcount

    async def condemn(self, limit: int) -> Sequence[str]:
        """See CheckpointStore."""
        unsettled = checkpoints.c.state.in_([CheckpointState.DROPPED, CheckpointState.COLLECTING])
        digests = select(checkpoints.c.digest).where(unsettled).distinct().limit(limit)
        condemned = []
        for digest in sorted((await self._connection.execute(digests)).scalars()):
            await self._lock(digest)
            same = checkpoints.c.digest == digest
            kept = select(exists().where(same, checkpoints.c.state.in_(_KEEPING)))
            if (await self._connection.execute(kept)).scalar_one():
                unneeded = delete(checkpoints).where(same, checkpoints.c.state == CheckpointState.DROPPED)
                await self._connection.execute(unneeded)
            else:
                await self._connection.execute(update(checkpoints).where(same).values(state=CheckpointState.COLLECTING))
                condemned.append(digest)
        return condemned

    async def forget(self, digest: str) -> None:
        """See CheckpointStore."""
        gone = and_(checkpoints.c.digest == digest, checkpoints.c.state == CheckpointState.COLLECTING)
        await self._connection.execute(delete(checkpoints).where(gone))

    async def _set(self, stored: StoredCheckpoint, state: CheckpointState) -> int:
        change = update(checkpoints).where(checkpoints.c.sequence == stored.sequence).values(state=state)
        return (await self._connection.execute(change)).rowcount

    async def _lock(self, digest: str) -> None:
        await self._connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(digest, 0))))


def _values(stored: StoredCheckpoint, state: CheckpointState) -> dict[str, Any]:
    return dataclasses.asdict(stored.checkpoint) | {
        "job_id": stored.job_id,
        "fencing_token": stored.fencing_token,
        "state": state,
    }
