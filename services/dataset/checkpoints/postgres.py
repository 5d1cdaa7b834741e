"""Checkpoints in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chassis.db.lease import LeaseLost, PostgresLeases
from headwater.names import CheckpointName, DatasetName, DatasetVersionName
from services.dataset.checkpoints.errors import CheckpointAlreadyExists
from services.dataset.checkpoints.model import Checkpoint, CheckpointClaim, CheckpointOutcome, CheckpointState
from services.dataset.checkpoints.tables import CHECKPOINT_SPLITS, CHECKPOINTS
from services.dataset.errors import CheckpointNotFound
from services.dataset.history.postgres.versions import PostgresVersions
from services.dataset.history.tables import VERSIONS
from services.dataset.model import SemVer, Split
from services.dataset.postgres.catalog import split_of
from services.dataset.postgres.tables import DATASETS
from services.dataset.trees.tables import NODES

_LEASES = PostgresLeases()
_CANDIDATES = 64
_IS_RUNNING = CHECKPOINTS.c.state == CheckpointState.RUNNING.value


class PostgresCheckpoints(PostgresVersions):
    """See ``services.dataset.checkpoints.store.Checkpoints``."""

    async def create_checkpoint(self, checkpoint: Checkpoint) -> Checkpoint:
        """See Checkpoints."""
        values = {
            "uid": checkpoint.uid,
            "version_uid": await self._version_uid_of(checkpoint.version),
            "checkpoint": checkpoint.name.checkpoint,
            "folded": checkpoint.name.checkpoint.lower(),
            "materialized": checkpoint.materialized,
            "state": checkpoint.state.value,
            "digest": checkpoint.digest,
            "profile": checkpoint.profile,
            "created_by": checkpoint.created_by,
        }
        try:
            async with self._tx.begin_nested():
                await self._tx.execute(CHECKPOINTS.insert().values(values))
        except sa.exc.IntegrityError as error:
            raise CheckpointAlreadyExists(checkpoint=checkpoint.name) from error
        await self._add_copy(checkpoint.uid, checkpoint.splits)
        return await self.get_checkpoint(checkpoint.name)

    async def get_checkpoint(self, name: CheckpointName) -> Checkpoint:
        """See Checkpoints."""
        version = DatasetVersionName(name.project, name.dataset, name.version)
        of_version = CHECKPOINTS.c.version_uid == await self._version_uid_of(version)
        query = sa.select(CHECKPOINTS).where(of_version, CHECKPOINTS.c.checkpoint == name.checkpoint)
        found = await self._checkpoints(version, query)
        if not found:
            raise CheckpointNotFound(checkpoint=name)
        return found[0]

    async def list_checkpoints(
        self, version: DatasetVersionName, below: int | None, limit: int
    ) -> Sequence[Checkpoint]:
        """See Checkpoints."""
        query = sa.select(CHECKPOINTS).where(CHECKPOINTS.c.version_uid == await self._version_uid_of(version))
        if below is not None:
            query = query.where(CHECKPOINTS.c.number < below)
        return await self._checkpoints(version, query.order_by(CHECKPOINTS.c.number.desc()).limit(limit))

    async def newest_copy(self, version: DatasetVersionName) -> Checkpoint | None:
        """See Checkpoints."""
        of_version = CHECKPOINTS.c.version_uid == await self._version_uid_of(version)
        is_copy = sa.and_(CHECKPOINTS.c.materialized, CHECKPOINTS.c.state == CheckpointState.READY.value)
        query = sa.select(CHECKPOINTS).where(of_version, is_copy).order_by(CHECKPOINTS.c.number.desc()).limit(1)
        found = await self._checkpoints(version, query)
        return found[0] if found else None

    async def claim_checkpoint(self, owner: str, ttl_s: float) -> CheckpointClaim | None:
        """See Checkpoints."""
        query = sa.select(CHECKPOINTS.c.uid).where(_IS_RUNNING).order_by(CHECKPOINTS.c.number).limit(_CANDIDATES)
        uids = [row.uid for row in await self._tx.execute(query)]
        held = await _LEASES.held(self._tx, [_key(uid) for uid in uids])
        for uid in uids:
            if _key(uid) in held:
                continue
            token = await _LEASES.claim(self._tx, _key(uid), owner, ttl_s)
            # Somebody may have brought it to its end since we looked, and nobody can after we have claimed it.
            checkpoint = await self._running(uid) if token is not None else None
            if token is not None and checkpoint is not None:
                return CheckpointClaim(checkpoint, token)
        return None

    async def renew_checkpoint(self, claim: CheckpointClaim, ttl_s: float) -> None:
        """See Checkpoints."""
        await _LEASES.renew(self._tx, _key(claim.checkpoint.uid), claim.token, ttl_s)

    async def release_checkpoint(self, claim: CheckpointClaim) -> None:
        """See Checkpoints."""
        await _LEASES.release(self._tx, _key(claim.checkpoint.uid), claim.token)

    async def end_checkpoint(self, claim: CheckpointClaim, outcome: CheckpointOutcome) -> None:
        """See Checkpoints."""
        uid = claim.checkpoint.uid
        await _LEASES.check(self._tx, _key(uid), claim.token)
        values = {
            "state": outcome.state.value,
            "error": outcome.error,
            "digest": outcome.digest,
            "profile": outcome.profile,
            "end_time": sa.func.now(),
        }
        ended = CHECKPOINTS.update().where(CHECKPOINTS.c.uid == uid, _IS_RUNNING).values(values)
        if (await self._tx.execute(ended)).rowcount == 0:
            raise LeaseLost(checkpoint=claim.checkpoint.name)
        await self._add_copy(uid, outcome.splits)

    async def _running(self, uid: str) -> Checkpoint | None:
        query = sa.select(CHECKPOINTS, DATASETS.c.project, DATASETS.c.dataset, *_NUMBER)
        query = query.join(VERSIONS, VERSIONS.c.uid == CHECKPOINTS.c.version_uid)
        query = query.join(DATASETS, DATASETS.c.uid == VERSIONS.c.dataset_uid)
        row = (await self._tx.execute(query.where(CHECKPOINTS.c.uid == uid, _IS_RUNNING))).first()
        if row is None:
            return None
        number = SemVer(row.major, row.minor, row.patch)
        return _checkpoint(DatasetVersionName(row.project, row.dataset, str(number)), row, ())

    async def _add_copy(self, uid: str, splits: Sequence[Split]) -> None:
        for split in splits:
            tree = split.tree
            root = sa.select(sa.literal(uid), sa.literal(split.name), NODES.c.id, sa.literal(split.arrow_schema)).where(
                NODES.c.digest == tree.root, NODES.c.layout == tree.layout
            )
            columns = ["checkpoint_uid", "name", "root_id", "arrow_schema"]
            await self._tx.execute(CHECKPOINT_SPLITS.insert().from_select(columns, root))

    async def _checkpoints(self, version: DatasetVersionName, query: sa.Select[Any]) -> list[Checkpoint]:
        rows = (await self._tx.execute(query)).all()
        copies = sa.select(CHECKPOINT_SPLITS, NODES).join(NODES, NODES.c.id == CHECKPOINT_SPLITS.c.root_id)
        copies = copies.where(CHECKPOINT_SPLITS.c.checkpoint_uid.in_([row.uid for row in rows]))
        splits: dict[str, list[Split]] = {}
        for row in await self._tx.execute(copies.order_by(CHECKPOINT_SPLITS.c.name)):
            splits.setdefault(row.checkpoint_uid, []).append(split_of(row))
        return [_checkpoint(version, row, tuple(splits.get(row.uid, ()))) for row in rows]

    async def _version_uid_of(self, name: DatasetVersionName) -> str:
        return (await self.get_version(DatasetName(name.project, name.dataset), SemVer.parse(name.version))).uid


_NUMBER = (VERSIONS.c.major, VERSIONS.c.minor, VERSIONS.c.patch)


def _key(uid: str) -> str:
    return f"checkpoint/{uid}"


def _checkpoint(version: DatasetVersionName, row: Any, splits: tuple[Split, ...]) -> Checkpoint:
    return Checkpoint(
        uid=row.uid,
        name=CheckpointName(version.project, version.dataset, version.version, row.checkpoint),
        materialized=row.materialized,
        state=CheckpointState(row.state),
        created_by=row.created_by,
        create_time=row.create_time,
        error=row.error,
        digest=bytes(row.digest),
        splits=splits,
        profile=row.profile,
        number=row.number,
    )
