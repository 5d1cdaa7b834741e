"""Which rows the readers of a commit get: its own, or those of a copy (M-26)."""

import dataclasses

from headwater.names import DatasetVersionName
from services.dataset.checkpoints.errors import CheckpointHasNoRows
from services.dataset.checkpoints.model import CheckpointState, checkpoint_name
from services.dataset.errors import CheckpointNotFound
from services.dataset.history.model import Commit
from services.dataset.model import Split
from services.dataset.store import Transaction


@dataclasses.dataclass(frozen=True, slots=True)
class Readable:
    """The splits that are read; none when the commit is a place and nothing holds a copy of it."""

    splits: tuple[Split, ...]
    digest: bytes
    """Their content digest."""
    checkpoint: str = ""
    """The checkpoint that holds them, by the last segment of its name; empty: they are the commit's own."""


async def readable(tx: Transaction, commit: Commit, checkpoint: str = "") -> Readable:
    """What those who read the commit get: the copy of that checkpoint; else its own rows, which never change; else the
    newest copy of the place that it is.

    Raises:
        CheckpointNotFound, CheckpointHasNoRows
    """
    if commit.named is None:
        if checkpoint:
            raise CheckpointNotFound(commit=commit.name, checkpoint=checkpoint)
        return Readable(commit.splits, commit.digest)
    version = DatasetVersionName(commit.dataset.project, commit.dataset.dataset, str(commit.named.version))
    if checkpoint:
        found = await tx.get_checkpoint(checkpoint_name(version, checkpoint))
        if not found.materialized or found.state is not CheckpointState.READY:
            raise CheckpointHasNoRows(checkpoint=found.name, state=found.state.value)
        return Readable(found.splits, found.digest, checkpoint)
    if commit.splits:
        return Readable(commit.splits, commit.digest)
    copy = await tx.newest_copy(version)
    return Readable(copy.splits, copy.digest, copy.name.checkpoint) if copy else Readable((), b"")
