"""Datasets and versions."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import DatasetName
from services.dataset.errors import DatasetAlreadyExists, DatasetNotFound, VersionNotFound
from services.dataset.model import Dataset, SemVer, Split, Tree, Version
from services.dataset.postgres.tables import DATASETS, TREES, VERSION_SPLITS, VERSIONS

_OF_DATASET = VERSIONS.c.dataset_uid == DATASETS.c.uid
_NUMBER = sa.tuple_(VERSIONS.c.major, VERSIONS.c.minor, VERSIONS.c.patch)


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

    async def list_datasets(self, project: str, after: str, limit: int) -> Sequence[Dataset]:
        """See Catalog."""
        query = sa.select(DATASETS).where(DATASETS.c.project == project, DATASETS.c.dataset > after)
        rows = await self._tx.execute(query.order_by(DATASETS.c.dataset).limit(limit))
        return [_dataset(row) for row in rows]

    async def add_version(self, version: Version) -> Version:
        """See Catalog."""
        move = DATASETS.update().where(is_named(version.dataset)).returning(DATASETS.c.uid)
        moved = await self._tx.execute(move.values(latest=str(version.version), revision=DATASETS.c.revision + 1))
        number = version.version
        values = {
            "uid": version.uid,
            "dataset_uid": moved.scalar_one(),
            "major": number.major,
            "minor": number.minor,
            "patch": number.patch,
            "digest": version.digest,
            "parent": str(version.parent or ""),
            "message": version.message,
            "author": version.author,
            "derived_from": list(version.derived_from),
            "source_file_count": version.source_file_count,
            "source_digest": version.source_digest,
            "upload_uid": version.upload_uid,
        }
        await self._tx.execute(VERSIONS.insert().values(values))
        for split in version.splits:
            await self._tx.execute(
                VERSION_SPLITS.insert().from_select(
                    ["version_uid", "name", "tree_id", "arrow_schema"],
                    sa.select(
                        sa.literal(version.uid), sa.literal(split.name), TREES.c.id, sa.literal(split.arrow_schema)
                    ).where(TREES.c.root == split.tree.root, TREES.c.layout == split.tree.layout),
                )
            )
        return await self.get_version(version.dataset, number)

    async def get_version(self, dataset: DatasetName, version: SemVer) -> Version:
        """See Catalog."""
        query = sa.select(VERSIONS).join(DATASETS, _OF_DATASET).where(is_named(dataset))
        row = (await self._tx.execute(query.where(number_of(version) == _NUMBER))).first()
        if row is None:
            await self.get_dataset(dataset)
            raise VersionNotFound(dataset=dataset, version=version)
        return (await self._versions(dataset, [row]))[0]

    async def list_versions(self, dataset: DatasetName, below: SemVer | None, limit: int) -> Sequence[Version]:
        """See Catalog."""
        await self.get_dataset(dataset)
        query = sa.select(VERSIONS).join(DATASETS, _OF_DATASET).where(is_named(dataset))
        if below is not None:
            query = query.where(number_of(below) > _NUMBER)
        newest_first = (VERSIONS.c.major.desc(), VERSIONS.c.minor.desc(), VERSIONS.c.patch.desc())
        rows = (await self._tx.execute(query.order_by(*newest_first).limit(limit))).all()
        return await self._versions(dataset, rows)

    async def _versions(self, dataset: DatasetName, rows: Sequence[Any]) -> list[Version]:
        query = sa.select(VERSION_SPLITS, TREES).join(TREES, TREES.c.id == VERSION_SPLITS.c.tree_id)
        query = query.where(VERSION_SPLITS.c.version_uid.in_([row.uid for row in rows]))
        splits: dict[str, list[Split]] = {}
        for row in await self._tx.execute(query.order_by(VERSION_SPLITS.c.name)):
            splits.setdefault(row.version_uid, []).append(split_of(row))
        return [_version(dataset, row, tuple(splits[row.uid])) for row in rows]


def is_named(name: DatasetName) -> sa.ColumnElement[bool]:
    """Whether a row of ``datasets`` is the dataset ``name``."""
    return sa.and_(DATASETS.c.project == name.project, DATASETS.c.dataset == name.dataset)


def number_of(version: SemVer) -> sa.Tuple:
    """The version as a row value that can be compared with one of ``versions``."""
    return sa.tuple_(*(sa.literal(number, sa.Integer) for number in dataclasses.astuple(version)))


def split_of(row: Any) -> Split:
    """The split in a row of ``upload_splits`` or ``version_splits`` joined with its tree."""
    tree = Tree(bytes(row.root), bytes(row.layout), row.row_count, row.size_bytes, row.chunk_count)
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
    )


def _version(dataset: DatasetName, row: Any, splits: tuple[Split, ...]) -> Version:
    return Version(
        uid=row.uid,
        dataset=dataset,
        version=SemVer(row.major, row.minor, row.patch),
        digest=bytes(row.digest),
        splits=splits,
        parent=SemVer.parse(row.parent) if row.parent else None,
        message=row.message,
        author=row.author,
        derived_from=tuple(row.derived_from),
        source_file_count=row.source_file_count,
        source_digest=bytes(row.source_digest),
        upload_uid=row.upload_uid,
        create_time=row.create_time,
    )
