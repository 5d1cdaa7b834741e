"""Datasets."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import DatasetName
from services.dataset.errors import DatasetAlreadyExists, DatasetNotFound
from services.dataset.model import Dataset, SemVer, Split, Tree
from services.dataset.postgres.tables import DATASETS


class PostgresCatalog:
    """See ``services.dataset.store.Catalog``."""

    _tx: AsyncConnection

    async def create_dataset(self, dataset: Dataset) -> Dataset:
        """See Catalog."""
        values = {
            "uid": dataset.uid,
            "project": dataset.name.project,
            "dataset": dataset.name.dataset,
            "folded": dataset.name.dataset.lower(),
            "display_name": dataset.display_name,
            "description": dataset.description,
            "created_by": dataset.created_by,
            "key_columns": list(dataset.key_columns),
            "tags": dict(dataset.tags),
            "hidden": dataset.hidden,
        }
        try:
            async with self._tx.begin_nested():
                row = (await self._tx.execute(DATASETS.insert().values(values).returning(DATASETS))).one()
        except sa.exc.IntegrityError as error:
            raise DatasetAlreadyExists(dataset=dataset.name) from error
        return _dataset(row)

    async def get_dataset(self, name: DatasetName, *, lock: bool = False) -> Dataset:
        """See Catalog."""
        query = sa.select(DATASETS).where(is_named(name))
        row = (await self._tx.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise DatasetNotFound(dataset=name)
        return _dataset(row)

    async def list_datasets(self, project: str, after: str, limit: int, *, hidden: bool = False) -> Sequence[Dataset]:
        """See Catalog."""
        query = sa.select(DATASETS).where(DATASETS.c.project == project, DATASETS.c.dataset > after)
        if not hidden:
            query = query.where(~DATASETS.c.hidden)
        rows = await self._tx.execute(query.order_by(DATASETS.c.dataset).limit(limit))
        return [_dataset(row) for row in rows]

    async def update_dataset(self, dataset: Dataset) -> Dataset:
        """See Catalog."""
        values = {
            "display_name": dataset.display_name,
            "description": dataset.description,
            "latest": str(dataset.latest or ""),
            "key_columns": list(dataset.key_columns),
            "tags": dict(dataset.tags),
            "hidden": dataset.hidden,
            "revision": DATASETS.c.revision + 1,
        }
        update = DATASETS.update().where(DATASETS.c.uid == dataset.uid).values(values).returning(DATASETS)
        return _dataset((await self._tx.execute(update)).one())


def is_named(name: DatasetName) -> sa.ColumnElement[bool]:
    """Whether a row of ``datasets`` is the dataset ``name``."""
    return sa.and_(DATASETS.c.project == name.project, DATASETS.c.dataset == name.dataset)


def split_of(row: Any) -> Split:
    """The split in a row of ``upload_splits`` or ``commit_splits`` joined with its root."""
    tree = Tree(bytes(row.digest), bytes(row.layout), row.row_count, row.size_bytes, row.chunk_count)
    return Split(row.name, tree, bytes(row.arrow_schema))


def _dataset(row: Any) -> Dataset:
    return Dataset(
        uid=row.uid,
        name=DatasetName(row.project, row.dataset),
        display_name=row.display_name,
        description=row.description,
        latest=SemVer.parse(row.latest) if row.latest else None,
        revision=row.revision,
        create_time=row.create_time,
        created_by=row.created_by,
        key_columns=tuple(row.key_columns),
        tags=dict(row.tags),
        hidden=row.hidden,
    )
