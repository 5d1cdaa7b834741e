"""Use cases of profiles: begin one, look at it, list them."""

import dataclasses
from collections.abc import Sequence

from chassis.clock import SystemClock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import DatasetVersionName, ProfileName, ViewName
from services.dataset.datasets import read_schema, version_named
from services.dataset.history.resolve import check_usable
from services.dataset.profiles.model import Freshness, Profile, ProfileSubject, judge
from services.dataset.profiles.sources import Sources
from services.dataset.rows.get import project
from services.dataset.store import Store, Transaction


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A profile, and whether it still is what the data is like (M-22)."""

    profile: Profile
    freshness: Freshness


class Profiles:
    """Profiles of versions and views. ``size`` and ``token`` are those of AIP-158."""

    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._sources = sources

    async def begin(
        self, parent: DatasetVersionName | ViewName, columns: Sequence[str], *, author: str, request_id: str, body: str
    ) -> Judged:
        """Begin to profile a version or a view; always a new profile.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion, ViewNotFound, VersionArchived
            ColumnNotFound: one of ``columns`` does not exist, or is asked for twice.
            RequestIdReused
        """
        version = DatasetVersionName(parent.project, parent.dataset, parent.version)
        async with self._store.transaction() as tx:
            first = await tx.first_result("CreateProfile", request_id, body)
            if first is not None:
                profile = await tx.get_profile(ProfileName.parse(first))
            else:
                subject = ProfileSubject(version, columns=tuple(columns))
                if isinstance(parent, ViewName):
                    view = await tx.get_view(parent)
                    subject = dataclasses.replace(subject, view=str(view.name), filter=view.filter)
                profile = await begin_profile(tx, subject, author)
                await tx.remember("CreateProfile", request_id, body, str(profile.name))
        return (await self._judged(version, [profile]))[0]

    async def get(self, name: ProfileName) -> Judged:
        """One profile, or DatasetNotFound, VersionNotFound, InvalidVersion, ProfileNotFound."""
        async with self._store.transaction() as tx:
            profile = await tx.get_profile(name)
        return (await self._judged(profile.subject.version, [profile]))[0]

    async def list(self, version: DatasetVersionName, size: int, token: str) -> Page[Judged]:
        """The profiles of a version without their columns, newest first.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion
        """
        limit, query = page_size(size), query_digest("profiles", version)
        below = decode_token(token, query, (int,))
        async with self._store.transaction() as tx:
            rows = await tx.list_profiles(version, int(below[0]) if below else None, limit + 1)
        judged = await self._judged(version, rows)
        return page_of(judged, limit, key=lambda each: (each.profile.number,), query=query)

    async def _judged(self, version: DatasetVersionName, profiles: Sequence[Profile]) -> Sequence[Judged]:
        """Freshness is asked for each time, and outside of any transaction: a place may take its time to answer."""
        if not profiles:
            return []
        fingerprint = await self._sources.fingerprint(version)
        return [Judged(profile, judge(profile, fingerprint)) for profile in profiles]


async def begin_profile(tx: Transaction, subject: ProfileSubject, author: str) -> Profile:
    """Add a profile of the subject, to be computed in the background once the transaction has committed.

    Raises:
        DatasetNotFound, VersionNotFound, InvalidVersion, VersionArchived, ColumnNotFound
    """
    commit = (await version_named(tx, subject.version)).commit
    check_usable(commit)
    if commit.splits:  # else the columns are somewhere else, and can change
        project(read_schema(commit.splits[0]), subject.columns)
    return await tx.create_profile(Profile(new_id(), subject, author, SystemClock().now()))
