"""Checkpoints in memory: for tests, and to say in few lines what the store means."""

import dataclasses
from collections.abc import Sequence

from services.training_scheduler.checkpoints.model import KEEPING, CheckpointState, StoredCheckpoint
from services.training_scheduler.errors import CheckpointBeingCollected
from services.training_scheduler.jobs.model import TrainingJob
from services.training_scheduler.store import CheckpointStore


class MemoryCheckpoints(CheckpointStore):
    """See CheckpointStore."""

    def __init__(self, rows: dict[int, StoredCheckpoint], jobs: dict[str, TrainingJob]) -> None:
        self._rows = rows
        self._jobs = jobs

    async def announce(self, stored: StoredCheckpoint) -> StoredCheckpoint:
        """See CheckpointStore."""
        digest = stored.checkpoint.digest
        if any(row.state is CheckpointState.COLLECTING for row in self._rows.values() if _digest(row) == digest):
            raise CheckpointBeingCollected(retry_after_ms=500, digest=digest)
        added = dataclasses.replace(stored, sequence=max(self._rows, default=0) + 1, state=CheckpointState.UPLOADING)
        self._rows[added.sequence] = added
        return added

    async def commit(self, stored: StoredCheckpoint, keep: int) -> None:
        """See CheckpointStore."""
        self._set(stored.sequence, CheckpointState.COMMITTED)
        ours = [
            sequence
            for sequence, row in sorted(self._rows.items())
            if row.job_id == stored.job_id and row.state is CheckpointState.COMMITTED
        ]
        for sequence in ours[:-keep]:
            self._set(sequence, CheckpointState.DROPPED)

    async def drop(self, stored: StoredCheckpoint) -> None:
        """See CheckpointStore."""
        self._rows[stored.sequence] = dataclasses.replace(stored, state=CheckpointState.DROPPED)

    async def drop_abandoned(self) -> int:
        """See CheckpointStore."""
        abandoned = [row.sequence for row in self._rows.values() if self._abandoned(row)]
        for sequence in abandoned:
            self._set(sequence, CheckpointState.DROPPED)
        return len(abandoned)

    async def condemn(self, limit: int) -> Sequence[str]:
        """See CheckpointStore."""
        unsettled = {_digest(row) for row in self._rows.values() if row.state not in KEEPING}
        condemned = []
        for digest in sorted(unsettled)[:limit]:
            same = [row for row in self._rows.values() if _digest(row) == digest]
            kept = any(row.state in KEEPING for row in same)
            for row in same:
                if not kept:
                    self._set(row.sequence, CheckpointState.COLLECTING)
                elif row.state is CheckpointState.DROPPED:
                    del self._rows[row.sequence]
            if not kept:
                condemned.append(digest)
        return condemned

    async def forget(self, digest: str) -> None:
        """See CheckpointStore."""
        for row in list(self._rows.values()):
            if _digest(row) == digest and row.state is CheckpointState.COLLECTING:
                del self._rows[row.sequence]

    def _abandoned(self, row: StoredCheckpoint) -> bool:
        job = self._jobs[row.job_id]
        return row.state is CheckpointState.UPLOADING and (job.ended or job.fencing_token != row.fencing_token)

    def _set(self, sequence: int, state: CheckpointState) -> None:
        self._rows[sequence] = dataclasses.replace(self._rows[sequence], state=state)


def _digest(row: StoredCheckpoint) -> str:
    return row.checkpoint.digest
