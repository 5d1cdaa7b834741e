"""Between the protos of checkpoints and values; pure."""

from headwater.dataset.v1 import views_pb2
from headwater.tree import digest_text
from services.dataset.checkpoints.model import Checkpoint, CheckpointState
from services.dataset.convert import split_to_proto, timestamp

_STATES = {
    CheckpointState.RUNNING: views_pb2.DatasetCheckpoint.STATE_RUNNING,
    CheckpointState.READY: views_pb2.DatasetCheckpoint.STATE_READY,
    CheckpointState.FAILED: views_pb2.DatasetCheckpoint.STATE_FAILED,
}


def checkpoint_to_proto(checkpoint: Checkpoint) -> views_pb2.DatasetCheckpoint:
    """A checkpoint."""
    return views_pb2.DatasetCheckpoint(
        name=str(checkpoint.name),
        state=_STATES[checkpoint.state],
        error=checkpoint.error,
        materialized=checkpoint.materialized,
        digest=digest_text(checkpoint.digest) if checkpoint.digest else "",
        splits=[split_to_proto(split) for split in checkpoint.splits],
        profile=checkpoint.profile,
        create_time=timestamp(checkpoint.create_time),
        created_by=checkpoint.created_by,
    )
