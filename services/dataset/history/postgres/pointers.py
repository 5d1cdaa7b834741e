"""Branches and tags."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from headwater.names import BranchName, DatasetName, TagName
from services.dataset.history.errors import BranchAlreadyExists, BranchNotFound, TagAlreadyExists, TagNotFound
from services.dataset.history.model import Branch, Tag
from services.dataset.history.tables import BRANCHES, LOOSE_COMMITS, TAGS
from services.dataset.postgres.catalog import PostgresCatalog, is_named
from services.dataset.postgres.tables import DATASETS


class PostgresPointers(PostgresCatalog):
    """See ``services.dataset.history.store.Pointers``."""

    async def create_branch(self, branch: Branch) -> Branch:
        """See Pointers."""
        dataset, name = dataset_of(branch.name), branch.name.branch
        if await self._is_taken(dataset, name):
            raise BranchAlreadyExists(branch=branch.name)
        values = {"branch": name, "folded": name.lower(), "head": branch.head, "created_by": branch.created_by}
        await self._tx.execute(BRANCHES.insert().values(**values, dataset_uid=_uid(dataset)))
        return await self.get_branch(branch.name)

    async def get_branch(self, name: BranchName) -> Branch:
        """See Pointers."""
        query = sa.select(BRANCHES).where(_is_branch(name))
        row = (await self._tx.execute(query)).first()
        if row is None:
            await self.get_dataset(dataset_of(name))
            raise BranchNotFound(branch=name)
        return _branch(dataset_of(name), row)

    async def list_branches(self, dataset: DatasetName, after: str, limit: int) -> Sequence[Branch]:
        """See Pointers."""
        query = sa.select(BRANCHES).where(BRANCHES.c.dataset_uid == _uid(dataset), BRANCHES.c.branch > after)
        rows = await self._tx.execute(query.order_by(BRANCHES.c.branch).limit(limit))
        return [_branch(dataset, row) for row in rows]

    async def move_branch(self, name: BranchName, head: bytes) -> Branch:
        """See Pointers."""
        before = (await self.get_branch(name)).head
        now = {"head": head, "revision": BRANCHES.c.revision + 1, "update_time": sa.func.now()}
        await self._tx.execute(BRANCHES.update().where(_is_branch(name)).values(now))
        await self._loosen(before)
        return await self.get_branch(name)

    async def delete_branch(self, name: BranchName) -> None:
        """See Pointers."""
        await self._loosen((await self.get_branch(name)).head)
        await self._tx.execute(BRANCHES.delete().where(_is_branch(name)))

    async def create_tag(self, tag: Tag) -> Tag:
        """See Pointers."""
        dataset, name = dataset_of(tag.name), tag.name.tag
        if await self._is_taken(dataset, name):
            raise TagAlreadyExists(tag=tag.name)
        values = {"tag": name, "folded": name.lower(), "target": tag.target, "message": tag.message}
        await self._tx.execute(TAGS.insert().values(**values, created_by=tag.created_by, dataset_uid=_uid(dataset)))
        return await self.get_tag(tag.name)

    async def get_tag(self, name: TagName) -> Tag:
        """See Pointers."""
        row = (await self._tx.execute(sa.select(TAGS).where(_is_tag(name)))).first()
        if row is None:
            await self.get_dataset(dataset_of(name))
            raise TagNotFound(tag=name)
        return _tag(dataset_of(name), row)

    async def list_tags(self, dataset: DatasetName, after: str, limit: int) -> Sequence[Tag]:
        """See Pointers."""
        query = sa.select(TAGS).where(TAGS.c.dataset_uid == _uid(dataset), TAGS.c.tag > after)
        return [_tag(dataset, row) for row in await self._tx.execute(query.order_by(TAGS.c.tag).limit(limit))]

    async def delete_tag(self, name: TagName) -> None:
        """See Pointers."""
        await self._loosen((await self.get_tag(name)).target)
        await self._tx.execute(TAGS.delete().where(_is_tag(name)))

    async def _is_taken(self, dataset: DatasetName, name: str) -> bool:
        """Whether a branch or a tag has the name; nobody else can take it, for the dataset is locked."""
        branches = sa.select(BRANCHES.c.folded).where(BRANCHES.c.dataset_uid == _uid(dataset))
        tags = sa.select(TAGS.c.folded).where(TAGS.c.dataset_uid == _uid(dataset))
        both = branches.union_all(tags).subquery()
        return (await self._tx.execute(sa.select(both).where(both.c.folded == name.lower()))).first() is not None

    async def _loosen(self, commit: bytes) -> None:
        """Note that the commit has lost a name just now; the collector looks whether another one is left."""
        loose = insert(LOOSE_COMMITS).values(commit_id=commit)
        now = loose.on_conflict_do_update(index_elements=["commit_id"], set_={"since": sa.func.now()})
        await self._tx.execute(now)


def dataset_of(name: BranchName | TagName) -> DatasetName:
    """Whose branch or tag it is."""
    return DatasetName(name.project, name.dataset)


def _uid(dataset: DatasetName) -> sa.ScalarSelect[Any]:
    return sa.select(DATASETS.c.uid).where(is_named(dataset)).scalar_subquery()


def _is_branch(name: BranchName) -> sa.ColumnElement[bool]:
    return sa.and_(BRANCHES.c.dataset_uid == _uid(dataset_of(name)), BRANCHES.c.branch == name.branch)


def _is_tag(name: TagName) -> sa.ColumnElement[bool]:
    return sa.and_(TAGS.c.dataset_uid == _uid(dataset_of(name)), TAGS.c.tag == name.tag)


def _branch(dataset: DatasetName, row: Any) -> Branch:
    name = BranchName(dataset.project, dataset.dataset, row.branch)
    return Branch(name, bytes(row.head), row.revision, row.created_by, row.create_time, row.update_time)


def _tag(dataset: DatasetName, row: Any) -> Tag:
    name = TagName(dataset.project, dataset.dataset, row.tag)
    return Tag(name, bytes(row.target), row.message, row.created_by, row.create_time)
