"""Whether a push can get the version it asks for, found out before its rows travel.

The service decides when it commits, since others may be ahead by then; this only spares a long way to a refusal.
"""

import re

from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, history_pb2
from headwater.datasets.catalog import history_stub
from headwater.datasets.history import MAIN
from headwater.errors import FailedPrecondition, InvalidArgument, NotFound

_NUMBER = "(0|[1-9][0-9]{0,8})"
_VERSION = re.compile(rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}", re.ASCII)


class InvalidVersion(InvalidArgument):
    """Not a semantic version of the form ``v1.2.3``."""

    reason = "INVALID_VERSION"
    text = "A dataset's version must look like v1.2.3."


class VersionNotGreater(FailedPrecondition):
    """Versions only grow; one that was given out is never given again."""

    reason = "VERSION_NOT_GREATER"


def check_asked(connection: Connection, version: str, dataset: datasets_pb2.Dataset | None, branch: str) -> None:
    """Refuse a version that no rows could get; ``dataset`` is None when it is new, and ``branch`` empty for ``main``.

    Raises:
        InvalidVersion
        VersionNotGreater
    """
    if not version:
        return
    asked = _numbers(version)
    if dataset is None or not dataset.latest_version or asked > _numbers(dataset.latest_version):
        return
    # The branch's own version may be asked for again: the rows may be those that it has.
    if version != _version_of(connection, f"{dataset.name}/branches/{branch or MAIN}"):
        raise VersionNotGreater(
            f"{version} is not greater than {dataset.latest_version}, the latest version.",
            requested=version,
            latest=dataset.latest_version,
        )


def _numbers(version: str) -> tuple[int, ...]:
    match = _VERSION.fullmatch(version)
    if match is None:
        raise InvalidVersion(version=version)
    return tuple(map(int, match.groups()))


def _version_of(connection: Connection, branch: str) -> str:
    try:
        return history_stub(connection).GetCommit(history_pb2.GetCommitRequest(name=branch)).version
    except NotFound:
        return ""
