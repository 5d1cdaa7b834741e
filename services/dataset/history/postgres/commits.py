"""Commits and the graph that they make."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from headwater.names import DatasetName, DatastoreName
from services.dataset.datastores.tables import DATASTORES
from services.dataset.history.definition import definition_from
from services.dataset.history.errors import CommitNotFound
from services.dataset.history.model import Commit, Link, Named, VersionState
from services.dataset.history.tables import COMMIT_PARENTS, COMMIT_SPLITS, COMMITS, VERSIONS
from services.dataset.model import SemVer, Split
from services.dataset.postgres.catalog import PostgresCatalog, is_named, split_of
from services.dataset.postgres.tables import DATASETS
from services.dataset.trees.tables import NODES

_PARENTS = (
    sa.select(sa.func.array_agg(aggregate_order_by(COMMIT_PARENTS.c.parent_id, COMMIT_PARENTS.c.position)))
    .where(COMMIT_PARENTS.c.commit_id == COMMITS.c.id)
    .scalar_subquery()
    .label("parents")
)
_NAMED = tuple(VERSIONS.c[column] for column in ("major", "minor", "patch", "state", "state_message"))


class PostgresCommits(PostgresCatalog):
    """See ``services.dataset.history.store.Commits``."""

    async def now(self) -> datetime.datetime:
        """See Commits."""
        time: datetime.datetime = (await self._tx.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
        return time

    async def add_commit(self, commit: Commit) -> Commit:
        """See Commits."""
        values = {
            "id": commit.id,
            "dataset_uid": sa.select(DATASETS.c.uid).where(is_named(commit.dataset)).scalar_subquery(),
            "digest": commit.digest,
            "definition": commit.definition.document() if commit.definition else None,
            "message": commit.message,
            "author": commit.author,
            "derived_from": list(commit.derived_from),
            "source_file_count": commit.source_file_count,
            "source_digest": commit.source_digest,
            "upload_uid": commit.upload_uid or None,
            "create_time": commit.create_time,
        }
        await self._tx.execute(COMMITS.insert().values(values))
        if commit.parents:
            parents = [
                {"commit_id": commit.id, "position": position, "parent_id": parent}
                for position, parent in enumerate(commit.parents)
            ]
            await self._tx.execute(COMMIT_PARENTS.insert(), parents)
        for split in commit.splits:
            await self._tx.execute(
                COMMIT_SPLITS.insert().from_select(
                    ["commit_id", "name", "root_id", "arrow_schema"],
                    sa.select(
                        sa.literal(commit.id), sa.literal(split.name), NODES.c.id, sa.literal(split.arrow_schema)
                    ).where(NODES.c.digest == split.tree.root, NODES.c.layout == split.tree.layout),
                )
            )
        return await self.get_commit(commit.dataset, commit.id)

    async def get_commit(self, dataset: DatasetName, id_: bytes) -> Commit:
        """See Commits."""
        (commit,) = await self.get_commits(dataset, [id_])
        return commit

    async def get_commits(self, dataset: DatasetName, ids: Sequence[bytes]) -> Sequence[Commit]:
        """See Commits."""
        query = commits_with(*_NAMED).outerjoin(VERSIONS, VERSIONS.c.commit_id == COMMITS.c.id)
        query = query.where(is_named(dataset), COMMITS.c.id.in_(ids))
        found = {commit.id: commit for commit in await self.commits_in(dataset, (await self._tx.execute(query)).all())}
        for id_ in ids:
            if id_ not in found:
                await self.get_dataset(dataset)
                raise CommitNotFound(dataset=dataset, commit=id_.hex())
        return [found[id_] for id_ in ids]

    async def find_commits(self, dataset: DatasetName, first: bytes, last: bytes, limit: int) -> Sequence[bytes]:
        """See Commits."""
        query = sa.select(COMMITS.c.id).join(DATASETS, DATASETS.c.uid == COMMITS.c.dataset_uid).where(is_named(dataset))
        query = query.where(COMMITS.c.id.between(first, last)).order_by(COMMITS.c.id).limit(limit)
        return [bytes(row.id) for row in await self._tx.execute(query)]

    async def ancestry(self, ids: Sequence[bytes], limit: int) -> Sequence[Link]:
        """See Commits."""
        rows = await self._tx.execute(sa.text(_ANCESTRY), {"ids": list(ids), "limit": max(limit, len(ids))})
        return [Link(bytes(row.id), row.number, tuple(map(bytes, row.parents or ()))) for row in rows]

    async def commits_in(self, dataset: DatasetName, rows: Sequence[Any]) -> list[Commit]:
        """The commits in rows of ``commits_with``, with their splits."""
        query = sa.select(COMMIT_SPLITS, NODES).join(NODES, NODES.c.id == COMMIT_SPLITS.c.root_id)
        query = query.where(COMMIT_SPLITS.c.commit_id.in_([row.id for row in rows]))
        splits: dict[bytes, list[Split]] = {}
        for row in await self._tx.execute(query.order_by(COMMIT_SPLITS.c.name)):
            splits.setdefault(bytes(row.commit_id), []).append(split_of(row))
        datastores = await self._datastores_of([row.definition for row in rows])
        return [_commit(dataset, row, tuple(splits.get(bytes(row.id), ())), datastores) for row in rows]

    async def _datastores_of(self, definitions: Sequence[Any]) -> Mapping[str, str]:
        """The present names of the datastores that the definitions refer to, by uid."""
        uids = {each["data_path"]["datastore"] for each in definitions if each and "data_path" in each}
        if not uids:
            return {}
        query = sa.select(DATASTORES).where(DATASTORES.c.uid.in_(uids))
        return {row.uid: str(DatastoreName(row.project, row.datastore)) for row in await self._tx.execute(query)}


def commits_with(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Commits of datasets, and these columns of ``versions``, which is still to be joined."""
    return sa.select(COMMITS, _PARENTS, *columns).join(DATASETS, DATASETS.c.uid == COMMITS.c.dataset_uid)


def _commit(dataset: DatasetName, row: Any, splits: tuple[Split, ...], datastores: Mapping[str, str]) -> Commit:
    named = None
    if row.major is not None:
        named = Named(SemVer(row.major, row.minor, row.patch), VersionState(row.state), row.state_message)
    return Commit(
        id=bytes(row.id),
        dataset=dataset,
        parents=tuple(map(bytes, row.parents or ())),
        digest=bytes(row.digest),
        splits=splits,
        definition=definition_from(row.definition, datastores),
        message=row.message,
        author=row.author,
        derived_from=tuple(row.derived_from),
        source_file_count=row.source_file_count,
        source_digest=bytes(row.source_digest),
        upload_uid=row.upload_uid or "",
        create_time=row.create_time,
        number=row.number,
        named=named,
    )


# A recursive query is evaluated only as far as its rows are asked for, so LIMIT bounds the walk. OFFSET 0 makes the
# parents be looked up one commit at a time: a join of the whole table would take time with the length of the history.
_ANCESTRY = """
WITH RECURSIVE walk (id) AS (
    SELECT unnest(CAST(:ids AS bytea[]))
    UNION
    SELECT parents.parent_id FROM walk CROSS JOIN LATERAL (
        SELECT parent_id FROM commit_parents WHERE commit_id = walk.id OFFSET 0
    ) AS parents
), nearest AS (
    SELECT id FROM walk LIMIT CAST(:limit AS bigint)
)
SELECT commits.id, commits.number, (
    SELECT array_agg(parent_id ORDER BY position) FROM commit_parents WHERE commit_id = commits.id
) AS parents
FROM nearest JOIN commits ON commits.id = nearest.id
"""
