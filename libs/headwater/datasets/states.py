"""Whether a version may be used: an archived one not, a deprecated one with a warning (M-19, M-20)."""

from headwater.dataset.v1 import datasets_pb2
from headwater.errors import FailedPrecondition


class VersionArchived(FailedPrecondition):
    """The version was taken out of use; ``headwater dataset version reactivate`` puts it back."""

    reason = "DATASET_VERSION_ARCHIVED"
    text = "The dataset version is archived."


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
