"""Profiles: schema and statistics of a version, or of a view of it, at one point in time.

    profile = profiles.make(connection, "digits@v1.0.0")
    profile = profiles.newest(connection, "digits@v1.0.0") or profiles.make(connection, "digits@v1.0.0")
    for column in profile.splits[0].columns: print(column.column, column.null_count)

A profile never changes. Whether the data is still what was profiled can change: ``freshness`` says so as of now.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from headwater.client import Connection
from headwater.dataset.v1 import profiles_pb2, views_pb2
from headwater.datasets.catalog import resolve_version
from headwater.datasets.views import stub, view_name
from headwater.errors import DeadlineExceeded, FailedPrecondition
from headwater.names import DEFAULT_PROJECT
from headwater.pages import pages

DatasetProfile = profiles_pb2.DatasetProfile

_PAGE = 1000
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class ProfileFailed(FailedPrecondition):
    """The profile could not be made; the text says why."""

    reason = "PROFILE_FAILED"


class ProfileNotReady(DeadlineExceeded):
    """The profile is still being made; it goes on without the caller."""

    reason = "PROFILE_NOT_READY"
    text = "The profile is still being made."


def begin(
    connection: Connection,
    version: str,
    *,
    view: str = "",
    columns: Sequence[str] = (),
    project: str = DEFAULT_PROJECT,
) -> DatasetProfile:
    """Begin to profile a version, or a view of it; always a new profile. Returns before it is ready.

    Raises:
        NotFound, FailedPrecondition: reason DATASET_VERSION_ARCHIVED
        InvalidArgument: reason COLUMN_NOT_FOUND.
    """
    parent = (
        view_name(connection, version, view, project=project)
        if view
        else resolve_version(connection, version, project=project)
    )
    request = views_pb2.CreateProfileRequest(parent=parent, columns=columns, request_id=str(uuid.uuid4()))
    return stub(connection).CreateProfile(request)


def wait(
    connection: Connection,
    name: str,
    *,
    timeout_s: float | None = None,
    on_progress: Callable[[DatasetProfile], None] | None = None,
) -> DatasetProfile:
    """Wait until a profile is ready. ``name`` is a resource name; ``on_progress`` is told what is known meanwhile.

    Raises:
        ProfileFailed
        ProfileNotReady: not within ``timeout_s`` seconds.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        profile = get(connection, name)
        if profile.state == DatasetProfile.STATE_READY:
            return profile
        if profile.state == DatasetProfile.STATE_FAILED:
            raise ProfileFailed(f"{name} could not be made: {profile.error}", profile=name)
        if end is not None and time.monotonic() >= end:
            raise ProfileNotReady(profile=name, rows_done=profile.rows_done)
        if on_progress is not None:
            on_progress(profile)
        time.sleep(pause_s if end is None else max(0.0, min(pause_s, end - time.monotonic())))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def make(
    connection: Connection,
    version: str,
    *,
    view: str = "",
    columns: Sequence[str] = (),
    timeout_s: float | None = None,
    on_progress: Callable[[DatasetProfile], None] | None = None,
    project: str = DEFAULT_PROJECT,
) -> DatasetProfile:
    """``begin`` and ``wait``."""
    begun = begin(connection, version, view=view, columns=columns, project=project)
    return wait(connection, begun.name, timeout_s=timeout_s, on_progress=on_progress)


def get(connection: Connection, name: str) -> DatasetProfile:
    """One profile, with its freshness as of now. ``name`` is a resource name.

    Raises:
        NotFound: reason PROFILE_NOT_FOUND.
    """
    return stub(connection).GetProfile(views_pb2.GetProfileRequest(name=name))


def list_profiles(
    connection: Connection, version: str, *, project: str = DEFAULT_PROJECT, page_size: int = _PAGE
) -> Iterator[DatasetProfile]:
    """The profiles of a version without their columns, newest first."""
    parent = resolve_version(connection, version, project=project)
    request = views_pb2.ListProfilesRequest(parent=parent, page_size=page_size)
    for page in pages(stub(connection).ListProfiles, request):
        yield from page.profiles


def newest(
    connection: Connection, version: str, *, view: str = "", project: str = DEFAULT_PROJECT
) -> DatasetProfile | None:
    """The newest profile of all columns of a version, or of a view of it, that is ready and not stale.

    That of a view has the filter that the view has now. None: there is no such profile.
    """
    wanted = views_pb2.DatasetView()
    if view:
        name = view_name(connection, version, view, project=project)
        wanted = stub(connection).GetView(views_pb2.GetViewRequest(name=name))
    for profile in list_profiles(connection, version, project=project, page_size=20):
        fits = (profile.view, profile.filter) == (wanted.name, wanted.filter)
        whole = not profile.columns and not profile.checkpoint
        usable = profile.state == DatasetProfile.STATE_READY and profile.freshness != DatasetProfile.FRESHNESS_STALE
        if fits and whole and usable:
            return get(connection, profile.name)
    return None
