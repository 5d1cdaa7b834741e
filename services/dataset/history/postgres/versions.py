"""Semantic versions."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from headwater.names import DatasetName
from services.dataset.errors import VersionNotFound
from services.dataset.history.errors import CommitHasVersion
from services.dataset.history.model import About, DeclaredStatistics, Provenance, Version, VersionState
from services.dataset.history.postgres.commits import PostgresCommits, commits_with
from services.dataset.history.tables import COMMITS, VERSIONS
from services.dataset.model import SemVer
from services.dataset.postgres.catalog import is_named
from services.dataset.postgres.tables import DATASETS

_NUMBER = sa.tuple_(VERSIONS.c.major, VERSIONS.c.minor, VERSIONS.c.patch)
# Those that commits have too go by another name; ``definition`` and ``message`` are the commit's.
_COLUMNS = [column for column in VERSIONS.c if column.name not in ("dataset_uid", "commit_id")]


class PostgresVersions(PostgresCommits):
    """See ``services.dataset.history.store.Versions``."""

    async def add_version(self, version: Version) -> Version:
        """See Versions."""
        number = version.version
        values = {
            "uid": version.uid,
            "dataset_uid": sa.select(DATASETS.c.uid).where(is_named(version.dataset)).scalar_subquery(),
            "major": number.major,
            "minor": number.minor,
            "patch": number.patch,
            "commit_id": version.commit.id,
            "parent": str(version.parent or ""),
            **_about(version.about),
        }
        taken = sa.select(VERSIONS.c.uid).where(VERSIONS.c.commit_id == version.commit.id)
        if (await self._tx.execute(taken)).first() is not None:
            raise CommitHasVersion(commit=version.commit.name)
        await self._tx.execute(VERSIONS.insert().values(values))
        return await self.get_version(version.dataset, number)

    async def get_version(self, dataset: DatasetName, version: SemVer) -> Version:
        """See Versions."""
        rows = (await self._tx.execute(_versions(dataset).where(_literal(version) == _NUMBER))).all()
        if not rows:
            await self.get_dataset(dataset)
            raise VersionNotFound(dataset=dataset, version=version)
        return (await self._versions_in(dataset, rows))[0]

    async def list_versions(self, dataset: DatasetName, below: SemVer | None, limit: int) -> Sequence[Version]:
        """See Versions."""
        query = _versions(dataset)
        if below is not None:
            query = query.where(_literal(below) > _NUMBER)
        newest_first = (VERSIONS.c.major.desc(), VERSIONS.c.minor.desc(), VERSIONS.c.patch.desc())
        return await self._versions_in(
            dataset, (await self._tx.execute(query.order_by(*newest_first).limit(limit))).all()
        )

    async def update_version(self, version: Version) -> Version:
        """See Versions."""
        values = {
            **_about(version.about),
            "state": version.state.value,
            "state_message": version.state_message,
            "revision": VERSIONS.c.revision + 1,
        }
        await self._tx.execute(VERSIONS.update().where(VERSIONS.c.uid == version.uid).values(values))
        return await self.get_version(version.dataset, version.version)

    async def _versions_in(self, dataset: DatasetName, rows: Sequence[Any]) -> list[Version]:
        commits = await self.commits_in(dataset, rows)
        return [
            Version(
                uid=row.uid,
                commit=commit,
                version=SemVer(row.major, row.minor, row.patch),
                parent=SemVer.parse(row.parent) if row.parent else None,
                about=About(
                    row.description,
                    Provenance(row.source, row.citation, row.license),
                    DeclaredStatistics(tuple(row.image_size), row.num_classes),
                ),
                state=VersionState(row.state),
                state_message=row.state_message,
                revision=row.revision,
            )
            for row, commit in zip(rows, commits, strict=True)
        ]


def _versions(dataset: DatasetName) -> sa.Select[Any]:
    query = commits_with(*_COLUMNS).join(VERSIONS, VERSIONS.c.commit_id == COMMITS.c.id)
    return query.where(is_named(dataset))


def _literal(version: SemVer) -> sa.Tuple:
    return sa.tuple_(*(sa.literal(number, sa.Integer) for number in dataclasses.astuple(version)))


def _about(about: About) -> dict[str, Any]:
    return {
        "description": about.description,
        "source": about.provenance.source,
        "citation": about.provenance.citation,
        "license": about.provenance.license,
        "image_size": list(about.statistics.image_size),
        "num_classes": about.statistics.num_classes,
    }
