"""Profiles in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chassis.db.lease import LeaseLost, PostgresLeases
from headwater.names import DatasetName, DatasetVersionName, ProfileName
from services.dataset.history.postgres.versions import PostgresVersions
from services.dataset.history.tables import VERSIONS
from services.dataset.model import SemVer
from services.dataset.postgres.tables import DATASETS
from services.dataset.profiles.content import from_summary, pack, summary, unpack
from services.dataset.profiles.errors import ProfileNotFound
from services.dataset.profiles.model import Claim, Outcome, Profile, ProfileState, ProfileSubject
from services.dataset.profiles.tables import PROFILES

_LEASES = PostgresLeases()
_CANDIDATES = 64
_FACTS = [column for column in PROFILES.c if column.name != "content"]


class PostgresProfiles(PostgresVersions):
    """See ``services.dataset.profiles.store.Profiles``."""

    async def create_profile(self, profile: Profile) -> Profile:
        """See Profiles."""
        subject = profile.subject
        values = {
            "uid": profile.uid,
            "version_uid": await self._uid_of(subject.version),
            "view": subject.view,
            "filter": subject.filter,
            "checkpoint": subject.checkpoint,
            "columns": list(subject.columns),
            "created_by": profile.created_by,
        }
        row = (await self._tx.execute(PROFILES.insert().values(values).returning(PROFILES))).one()
        return _profile(subject.version, row)

    async def get_profile(self, name: ProfileName) -> Profile:
        """See Profiles."""
        version = DatasetVersionName(name.project, name.dataset, name.version)
        of_version = PROFILES.c.version_uid == await self._uid_of(version)
        query = sa.select(PROFILES).where(of_version, PROFILES.c.uid == name.profile)
        row = (await self._tx.execute(query)).first()
        if row is None:
            raise ProfileNotFound(profile=name)
        return _profile(version, row, unpack(bytes(row.content)))

    async def list_profiles(self, version: DatasetVersionName, below: int | None, limit: int) -> Sequence[Profile]:
        """See Profiles."""
        query = sa.select(*_FACTS).where(PROFILES.c.version_uid == await self._uid_of(version))
        if below is not None:
            query = query.where(PROFILES.c.number < below)
        rows = await self._tx.execute(query.order_by(PROFILES.c.number.desc()).limit(limit))
        return [_profile(version, row) for row in rows]

    async def claim_profile(self, owner: str, ttl_s: float) -> Claim | None:
        """See Profiles."""
        query = sa.select(*_FACTS, DATASETS.c.project, DATASETS.c.dataset, *_NUMBER)
        query = query.join(VERSIONS, VERSIONS.c.uid == PROFILES.c.version_uid)
        query = query.join(DATASETS, DATASETS.c.uid == VERSIONS.c.dataset_uid)
        query = query.where(PROFILES.c.state == ProfileState.RUNNING.value).order_by(PROFILES.c.number)
        rows = (await self._tx.execute(query.limit(_CANDIDATES))).all()
        running = await _LEASES.held(self._tx, [_key(row.uid) for row in rows])
        for row in rows:
            if _key(row.uid) in running:
                continue
            token = await _LEASES.claim(self._tx, _key(row.uid), owner, ttl_s)
            # Somebody may have brought it to its end since we looked, and nobody can after we have claimed it.
            if token is not None and await self._is_running(row.uid):
                number = SemVer(row.major, row.minor, row.patch)
                return Claim(_profile(DatasetVersionName(row.project, row.dataset, str(number)), row), token)
        return None

    async def renew_profile(self, claim: Claim, ttl_s: float, rows_done: int) -> None:
        """See Profiles."""
        await _LEASES.renew(self._tx, _key(claim.profile.uid), claim.token, ttl_s)
        await self._update(claim, rows_done=rows_done)

    async def release_profile(self, claim: Claim) -> None:
        """See Profiles."""
        await _LEASES.release(self._tx, _key(claim.profile.uid), claim.token)

    async def end_profile(self, claim: Claim, outcome: Outcome) -> None:
        """See Profiles."""
        await _LEASES.check(self._tx, _key(claim.profile.uid), claim.token)
        await self._update(
            claim,
            state=outcome.state.value,
            error=outcome.error,
            rows_done=outcome.rows_done,
            splits=summary(outcome.splits),
            content=pack(outcome.splits),
            fingerprint=outcome.fingerprint,
            end_time=sa.func.now(),
        )

    async def _update(self, claim: Claim, **values: object) -> None:
        running = sa.and_(PROFILES.c.uid == claim.profile.uid, PROFILES.c.state == ProfileState.RUNNING.value)
        if (await self._tx.execute(PROFILES.update().where(running).values(values))).rowcount == 0:
            raise LeaseLost(profile=claim.profile.name)

    async def _is_running(self, uid: str) -> bool:
        query = sa.select(PROFILES.c.state).where(PROFILES.c.uid == uid)
        return bool((await self._tx.execute(query)).scalar_one() == ProfileState.RUNNING.value)

    async def _uid_of(self, name: DatasetVersionName) -> str:
        return (await self.get_version(DatasetName(name.project, name.dataset), SemVer.parse(name.version))).uid


_NUMBER = (VERSIONS.c.major, VERSIONS.c.minor, VERSIONS.c.patch)


def _key(uid: str) -> str:
    return f"profile/{uid}"


def _profile(version: DatasetVersionName, row: Any, splits: Any = None) -> Profile:
    return Profile(
        uid=row.uid,
        subject=ProfileSubject(version, row.view, row.filter, tuple(row.columns), row.checkpoint),
        created_by=row.created_by,
        create_time=row.create_time,
        state=ProfileState(row.state),
        error=row.error,
        rows_done=row.rows_done,
        splits=from_summary(row.splits) if splits is None else splits,
        fingerprint=row.fingerprint,
        number=row.number,
    )
