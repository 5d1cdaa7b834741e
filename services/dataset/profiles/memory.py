"""Profiles in memory."""

import dataclasses
import datetime
from collections.abc import Sequence

from chassis.db.lease import LeaseLost
from headwater.names import DatasetName, DatasetVersionName, ProfileName
from services.dataset.history.store import Versions
from services.dataset.model import SemVer
from services.dataset.profiles.errors import ProfileNotFound
from services.dataset.profiles.model import Claim, Outcome, Profile, ProfileState


@dataclasses.dataclass(frozen=True)
class _Lease:
    token: int
    expire_time: datetime.datetime


@dataclasses.dataclass
class ProfilesState:
    """What is remembered of profiles; their order is that in which they were begun."""

    profiles: dict[str, Profile] = dataclasses.field(default_factory=dict)
    leases: dict[str, _Lease] = dataclasses.field(default_factory=dict)


class MemoryProfiles(Versions):
    """See ``services.dataset.profiles.store.Profiles``; the other pieces of the transaction have the versions."""

    _profiles: ProfilesState
    _now: datetime.datetime

    async def create_profile(self, profile: Profile) -> Profile:
        """See Profiles."""
        number = len(self._profiles.profiles) + 1
        self._profiles.profiles[profile.uid] = dataclasses.replace(profile, number=number, create_time=self._now)
        return self._profiles.profiles[profile.uid]

    async def get_profile(self, name: ProfileName) -> Profile:
        """See Profiles."""
        await self._version_of(DatasetVersionName(name.project, name.dataset, name.version))
        profile = self._profiles.profiles.get(name.profile)
        if profile is None or profile.name != name:
            raise ProfileNotFound(profile=name)
        return profile

    async def list_profiles(self, version: DatasetVersionName, below: int | None, limit: int) -> Sequence[Profile]:
        """See Profiles."""
        await self._version_of(version)
        profiles = [profile for profile in self._profiles.profiles.values() if profile.subject.version == version]
        older = [profile for profile in reversed(profiles) if below is None or profile.number < below]
        return [_without_columns(profile) for profile in older[:limit]]

    async def claim_profile(self, owner: str, ttl_s: float) -> Claim | None:
        """See Profiles."""
        for profile in self._profiles.profiles.values():
            lease = self._profiles.leases.get(profile.uid, _Lease(0, self._now))
            if profile.state is ProfileState.RUNNING and lease.expire_time <= self._now:
                self._profiles.leases[profile.uid] = _Lease(lease.token + 1, self._after(ttl_s))
                return Claim(profile, lease.token + 1)
        return None

    async def renew_profile(self, claim: Claim, ttl_s: float, rows_done: int) -> None:
        """See Profiles."""
        profile, lease = self._held(claim)
        self._profiles.leases[profile.uid] = dataclasses.replace(lease, expire_time=self._after(ttl_s))
        self._profiles.profiles[profile.uid] = dataclasses.replace(profile, rows_done=rows_done)

    async def release_profile(self, claim: Claim) -> None:
        """See Profiles."""
        lease = self._profiles.leases[claim.profile.uid]
        if lease.token == claim.token:
            self._profiles.leases[claim.profile.uid] = dataclasses.replace(lease, expire_time=self._now)

    async def end_profile(self, claim: Claim, outcome: Outcome) -> None:
        """See Profiles."""
        profile, _ = self._held(claim)
        ended = {field.name: getattr(outcome, field.name) for field in dataclasses.fields(outcome)}
        self._profiles.profiles[profile.uid] = dataclasses.replace(profile, **ended)

    def _held(self, claim: Claim) -> tuple[Profile, _Lease]:
        profile, lease = self._profiles.profiles[claim.profile.uid], self._profiles.leases[claim.profile.uid]
        lost = lease.token != claim.token or lease.expire_time <= self._now
        if lost or profile.state is not ProfileState.RUNNING:
            raise LeaseLost(profile=profile.name)
        return profile, lease

    def _after(self, seconds: float) -> datetime.datetime:
        return self._now + datetime.timedelta(seconds=seconds)

    async def _version_of(self, name: DatasetVersionName) -> None:
        await self.get_version(DatasetName(name.project, name.dataset), SemVer.parse(name.version))


def _without_columns(profile: Profile) -> Profile:
    return dataclasses.replace(
        profile, splits=tuple(dataclasses.replace(split, columns=()) for split in profile.splits)
    )
