"""Whether a version may be used: an archived one not, a deprecated one with a warning (M-19, M-20).

And whether its rows are stored: those of a place outside are, where a checkpoint holds a copy (M-26).
"""

from collections.abc import Iterable

from headwater.dataset.v1 import datasets_pb2, views_pb2
from headwater.errors import FailedPrecondition

HOW_TO_COPY = "Make a copy: headwater dataset checkpoint create DATASET@VERSION NAME --copy --wait"
"""What those do who need stored rows."""


class VersionArchived(FailedPrecondition):
    """The version was taken out of use; ``headwater dataset version reactivate`` puts it back."""

    reason = "DATASET_VERSION_ARCHIVED"
    text = "The dataset version is archived."


class NoRowsStored(FailedPrecondition):
    """The version is a place outside, and no checkpoint holds a copy of its rows."""

    reason = "NO_ROWS_STORED"
    text = f"No rows of the version are stored. {HOW_TO_COPY}"


class CheckpointHasNoRows(FailedPrecondition):
    """The checkpoint has no copy of the rows: none was asked for, it is not complete yet, or it could not be made."""

    reason = "CHECKPOINT_HAS_NO_ROWS"
    text = "The checkpoint holds no rows that could be read."


class VersionDeprecated(UserWarning):
    """A version is read that should not be used for new work."""


def check_usable(version: datasets_pb2.DatasetVersion) -> tuple[str, ...]:
    """What who uses the version should know; empty when there is nothing.

    Raises:
        VersionArchived
    """
    said = f": {version.state_message}" if version.state_message else "."
    if version.state == datasets_pb2.DatasetVersion.STATE_ARCHIVED:
        raise VersionArchived(f"{version.name} is archived{said}", version=version.name)
    if version.state == datasets_pb2.DatasetVersion.STATE_DEPRECATED:
        return (f"{version.name} is deprecated{said}",)
    return ()


def is_place(version: datasets_pb2.DatasetVersion) -> bool:
    """Whether the rows are in a place outside, and only copies of them are stored."""
    return version.definition.HasField("data_path")


def newest_copy(checkpoints: Iterable[views_pb2.DatasetCheckpoint]) -> views_pb2.DatasetCheckpoint | None:
    """Of checkpoints, newest first, that whose copy the readers of a place get; None when there is none."""
    ready = views_pb2.DatasetCheckpoint.STATE_READY
    return next((each for each in checkpoints if each.materialized and each.state == ready), None)
