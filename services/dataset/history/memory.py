"""The history in memory."""

import dataclasses
import datetime
from collections.abc import Sequence

from headwater.names import BranchName, DatasetName, TagName
from services.dataset.datastores.memory import DatastoreMemory
from services.dataset.errors import VersionNotFound
from services.dataset.history.definition import DataPath
from services.dataset.history.errors import (
    BranchAlreadyExists,
    BranchNotFound,
    CommitHasVersion,
    CommitNotFound,
    TagAlreadyExists,
    TagNotFound,
)
from services.dataset.history.model import Branch, Commit, Link, Named, Tag, Version
from services.dataset.model import SemVer
from services.dataset.store import Catalog


@dataclasses.dataclass
class HistoryState:
    """What the history remembers."""

    commits: dict[bytes, Commit] = dataclasses.field(default_factory=dict)
    branches: dict[BranchName, Branch] = dataclasses.field(default_factory=dict)
    tags: dict[TagName, Tag] = dataclasses.field(default_factory=dict)
    versions: dict[DatasetName, dict[SemVer, Version]] = dataclasses.field(default_factory=dict)
    loose: dict[bytes, datetime.datetime] = dataclasses.field(default_factory=dict)
    """Commits that lost a name or a child, and when."""
    count: int = 0

    def upload_uids(self) -> set[str]:
        """The uploads that commits are made of."""
        return {commit.upload_uid for commit in self.commits.values()}

    def drop_loose(self, before: datetime.datetime, bases: set[bytes]) -> Commit | None:
        """Drop one commit that nothing but itself has led to since ``before``."""
        needed = {branch.head for branch in self.branches.values()} | {tag.target for tag in self.tags.values()}
        needed |= {version.commit.id for versions in self.versions.values() for version in versions.values()}
        needed |= {parent for commit in self.commits.values() for parent in commit.parents}
        for id_, since in sorted(self.loose.items(), key=lambda item: item[1]):
            if since > before or id_ in bases:
                continue
            del self.loose[id_]
            if id_ not in needed:
                commit = self.commits.pop(id_)
                for parent in commit.parents:
                    self.loose[parent] = max(since, self.loose.get(parent, since))
                return commit
        return None


class MemoryHistory(Catalog):
    """See ``services.dataset.history.store.History``; the other pieces of the transaction have the datasets."""

    _history: HistoryState
    _datastores: DatastoreMemory
    _now: datetime.datetime

    async def now(self) -> datetime.datetime:
        """See Commits."""
        return self._now

    async def add_commit(self, commit: Commit) -> Commit:
        """See Commits."""
        self._history.count += 1
        self._history.commits[commit.id] = dataclasses.replace(commit, number=self._history.count)
        return await self.get_commit(commit.dataset, commit.id)

    async def get_commit(self, dataset: DatasetName, id_: bytes) -> Commit:
        """See Commits."""
        await self.get_dataset(dataset)
        commit = self._history.commits.get(id_)
        if commit is None or commit.dataset != dataset:
            raise CommitNotFound(dataset=dataset, commit=id_.hex())
        commit = self._with_datastore(commit)
        for version in self._history.versions.get(dataset, {}).values():
            if version.commit.id == id_:
                named = Named(version.version, version.state, version.state_message)
                return dataclasses.replace(commit, named=named)
        return commit

    async def get_commits(self, dataset: DatasetName, ids: Sequence[bytes]) -> Sequence[Commit]:
        """See Commits."""
        return [await self.get_commit(dataset, id_) for id_ in ids]

    async def find_commits(self, dataset: DatasetName, first: bytes, last: bytes, limit: int) -> Sequence[bytes]:
        """See Commits."""
        ids = sorted(id_ for id_, commit in self._history.commits.items() if commit.dataset == dataset)
        return [id_ for id_ in ids if first <= id_ <= last][:limit]

    async def ancestry(self, ids: Sequence[bytes], limit: int) -> Sequence[Link]:
        """See Commits."""
        links: list[Link] = []
        waiting, seen = list(ids), set(ids)
        while waiting and len(links) < max(limit, len(ids)):
            commit = self._history.commits[waiting.pop(0)]
            links.append(Link(commit.id, commit.number, commit.parents))
            waiting += [parent for parent in commit.parents if parent not in seen]
            seen |= set(commit.parents)
        return links

    async def create_branch(self, branch: Branch) -> Branch:
        """See Pointers."""
        if self._is_taken(branch.name, branch.name.branch):
            raise BranchAlreadyExists(branch=branch.name)
        created = dataclasses.replace(branch, revision=1, create_time=self._now, update_time=self._now)
        self._history.branches[branch.name] = created
        return created

    async def get_branch(self, name: BranchName) -> Branch:
        """See Pointers."""
        if name not in self._history.branches:
            await self.get_dataset(_dataset(name))
            raise BranchNotFound(branch=name)
        return self._history.branches[name]

    async def list_branches(self, dataset: DatasetName, after: str, limit: int) -> Sequence[Branch]:
        """See Pointers."""
        branches = [branch for name, branch in self._history.branches.items() if _dataset(name) == dataset]
        later = [branch for branch in branches if branch.name.branch > after]
        return sorted(later, key=lambda branch: branch.name.branch)[:limit]

    async def move_branch(self, name: BranchName, head: bytes) -> Branch:
        """See Pointers."""
        before = await self.get_branch(name)
        self._history.loose[before.head] = self._now
        moved = dataclasses.replace(before, head=head, revision=before.revision + 1, update_time=self._now)
        self._history.branches[name] = moved
        return moved

    async def delete_branch(self, name: BranchName) -> None:
        """See Pointers."""
        self._history.loose[(await self.get_branch(name)).head] = self._now
        del self._history.branches[name]

    async def create_tag(self, tag: Tag) -> Tag:
        """See Pointers."""
        if self._is_taken(tag.name, tag.name.tag):
            raise TagAlreadyExists(tag=tag.name)
        self._history.tags[tag.name] = dataclasses.replace(tag, create_time=self._now)
        return self._history.tags[tag.name]

    async def get_tag(self, name: TagName) -> Tag:
        """See Pointers."""
        if name not in self._history.tags:
            await self.get_dataset(_dataset(name))
            raise TagNotFound(tag=name)
        return self._history.tags[name]

    async def list_tags(self, dataset: DatasetName, after: str, limit: int) -> Sequence[Tag]:
        """See Pointers."""
        tags = [tag for name, tag in self._history.tags.items() if _dataset(name) == dataset and name.tag > after]
        return sorted(tags, key=lambda tag: tag.name.tag)[:limit]

    async def delete_tag(self, name: TagName) -> None:
        """See Pointers."""
        self._history.loose[(await self.get_tag(name)).target] = self._now
        del self._history.tags[name]

    async def add_version(self, version: Version) -> Version:
        """See Versions."""
        versions = self._history.versions.setdefault(version.dataset, {})
        if any(known.commit.id == version.commit.id for known in versions.values()):
            raise CommitHasVersion(commit=version.commit.name)
        versions[version.version] = dataclasses.replace(version, revision=1)
        return await self.get_version(version.dataset, version.version)

    async def get_version(self, dataset: DatasetName, version: SemVer) -> Version:
        """See Versions."""
        await self.get_dataset(dataset)
        known = self._history.versions.get(dataset, {}).get(version)
        if known is None:
            raise VersionNotFound(dataset=dataset, version=version)
        return dataclasses.replace(known, commit=await self.get_commit(dataset, known.commit.id))

    async def list_versions(self, dataset: DatasetName, below: SemVer | None, limit: int) -> Sequence[Version]:
        """See Versions."""
        numbers = sorted(self._history.versions.get(dataset, {}), reverse=True)
        wanted = [number for number in numbers if below is None or number < below]
        return [await self.get_version(dataset, number) for number in wanted[:limit]]

    async def update_version(self, version: Version) -> Version:
        """See Versions."""
        versions = self._history.versions[version.dataset]
        before = versions[version.version]
        versions[version.version] = dataclasses.replace(version, revision=before.revision + 1)
        return await self.get_version(version.dataset, version.version)

    def _with_datastore(self, commit: Commit) -> Commit:
        """With the present name of the datastore that its definition refers to."""
        if not isinstance(commit.definition, DataPath):
            return commit
        known = self._datastores.datastores.get(commit.definition.datastore_uid)
        path = dataclasses.replace(commit.definition, datastore=str(known.name) if known else "")
        return dataclasses.replace(commit, definition=path)

    def _is_taken(self, owner: BranchName | TagName, name: str) -> bool:
        dataset = _dataset(owner)
        branches = {branch.branch.lower() for branch in self._history.branches if _dataset(branch) == dataset}
        tags = {tag.tag.lower() for tag in self._history.tags if _dataset(tag) == dataset}
        return name.lower() in branches | tags


def _dataset(name: BranchName | TagName) -> DatasetName:
    return DatasetName(name.project, name.dataset)
