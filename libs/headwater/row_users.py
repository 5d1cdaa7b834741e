"""Which models saw a row: what the dataset service knows of rows, together with what the registry knows of models.

[user.use.model_version for user in row_users(connection, "projects/default", digest)]
"""

import dataclasses
from collections.abc import Iterator

from headwater import lineage
from headwater.client import Connection
from headwater.dataset.v1 import proofs_pb2
from headwater.datasets import proofs
from headwater.errors import NotFound
from headwater.registry.v1 import lineage_pb2


@dataclasses.dataclass(frozen=True, slots=True)
class RowUser:
    """A model version that was trained on a row: the dataset version nearest to it that holds the row, and the use."""

    dataset_version: str
    use: lineage_pb2.ModelVersionUse


def row_users(connection: Connection, parent: str, row_digest: bytes) -> list[RowUser]:
    """Every model version that was trained on a row, nearest first: on a dataset version that holds it, or on what was
    made of one. ``parent`` is the resource name of a dataset, or of a project for all of its datasets (N-02)."""
    found: dict[str, RowUser] = {}
    for held in proofs.uses(connection, parent, row_digest):
        for use in _uses(connection, held):
            known = found.get(use.model_version)
            if known is None or use.distance < known.use.distance:
                found[use.model_version] = RowUser(held.version, use)
    return sorted(found.values(), key=lambda user: (user.use.distance, user.use.model_version))


def _uses(connection: Connection, held: proofs_pb2.RowUse) -> Iterator[lineage_pb2.ModelVersionUse]:
    try:
        yield from lineage.uses(connection, held.version)
    except NotFound as error:
        if error.reason != "LINEAGE_NODE_NOT_FOUND":
            raise  # a version that nothing was ever made of is not in the graph
