"""Checkpoints: a version at one point in time, with a new profile and, if asked for, a copy of its rows.

    frozen = checkpoints.create(connection, "orders@v1.0.0", "friday", materialize=True)
    frozen = checkpoints.wait(connection, frozen.name)
    reader = datasets.reader(connection, "orders@v1.0.0", "train")      # reads the newest copy

Of a version that is a place outside, readers get the newest copy once there is one. A copy of rows that are stored
already takes no space.
"""

import time
import uuid
from collections.abc import Iterator

from headwater.client import Connection
from headwater.dataset.v1 import views_pb2, views_pb2_grpc
from headwater.datasets.catalog import resolve_version
from headwater.errors import FailedPrecondition
from headwater.names import DEFAULT_PROJECT
from headwater.pages import pages

_PAGE = 1000


class CheckpointFailed(FailedPrecondition):
    """The checkpoint could not be made; the text says why."""

    reason = "CHECKPOINT_FAILED"


def create(
    connection: Connection,
    version: str,
    checkpoint: str,
    *,
    materialize: bool = False,
    project: str = DEFAULT_PROJECT,
) -> views_pb2.DatasetCheckpoint:
    """Begin to make a checkpoint; ``wait`` waits for its end.

    Args:
        version: a resource name or a reference: ``orders@v1.0.0``.
        materialize: with a copy of the rows as they are now.

    Raises:
        AlreadyExists: reason CHECKPOINT_ALREADY_EXISTS.
        FailedPrecondition: reason DATASET_VERSION_ARCHIVED.
    """
    request = views_pb2.CreateCheckpointRequest(
        parent=resolve_version(connection, version, project=project),
        checkpoint_id=checkpoint,
        materialize=materialize,
        request_id=str(uuid.uuid4()),
    )
    return _stub(connection).CreateCheckpoint(request)


def get(connection: Connection, name: str) -> views_pb2.DatasetCheckpoint:
    """One checkpoint, by its resource name."""
    return _stub(connection).GetCheckpoint(views_pb2.GetCheckpointRequest(name=name))


def wait(
    connection: Connection, name: str, *, timeout_s: float = 3600.0, interval_s: float = 0.5
) -> views_pb2.DatasetCheckpoint:
    """The checkpoint, when it is complete.

    Raises:
        CheckpointFailed
        TimeoutError: it is still being made after ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = get(connection, name)
        if found.state == views_pb2.DatasetCheckpoint.STATE_READY:
            return found
        if found.state == views_pb2.DatasetCheckpoint.STATE_FAILED:
            raise CheckpointFailed(found.error or "The checkpoint could not be made.", checkpoint=name)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} is still being made.")
        time.sleep(interval_s)


def list_checkpoints(
    connection: Connection, version: str, *, project: str = DEFAULT_PROJECT
) -> Iterator[views_pb2.DatasetCheckpoint]:
    """The checkpoints of a version, newest first."""
    parent = resolve_version(connection, version, project=project)
    request = views_pb2.ListCheckpointsRequest(parent=parent, page_size=_PAGE)
    for page in pages(_stub(connection).ListCheckpoints, request):
        yield from page.checkpoints


def _stub(connection: Connection) -> views_pb2_grpc.DatasetViewServiceStub:
    return views_pb2_grpc.DatasetViewServiceStub(connection.channel("dataset"))
