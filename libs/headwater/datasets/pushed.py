"""What a push led to."""

import dataclasses

from headwater.dataset.v1 import datasets_pb2, history_pb2


@dataclasses.dataclass(frozen=True, slots=True)
class Pushed:
    """What a push led to."""

    version: datasets_pb2.DatasetVersion
    """The version of the rows; without a name when they have none, as on other branches than ``main``."""
    created: bool
    """False when the branch's head had these rows already."""
    chunk_count: int
    new_chunk_count: int
    """Chunks among them that had to be stored."""
    commit: history_pb2.Commit
    """The commit of the rows."""
    sent_bytes: int = 0
    """Bytes of rows that travelled."""
