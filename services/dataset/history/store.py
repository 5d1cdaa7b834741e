"""What the history must remember, as a Protocol.

Who changes a branch, a tag or a version has locked the dataset's row before (``get_dataset(lock=True)``), and so has
the collector before it decides that nothing leads to a commit.
"""

import datetime
from collections.abc import Sequence
from typing import Protocol

from headwater.names import BranchName, DatasetName, TagName
from services.dataset.history.model import Branch, Commit, Link, Tag, Version
from services.dataset.model import SemVer


class Commits(Protocol):
    """Commits and the graph that they make."""

    async def now(self) -> datetime.datetime:
        """The time, by the store's clock."""
        ...

    async def add_commit(self, commit: Commit) -> Commit:
        """Add a commit, whose parents and trees are stored; it gets its number."""
        ...

    async def get_commit(self, dataset: DatasetName, id_: bytes) -> Commit:
        """One commit.

        Raises:
            DatasetNotFound, CommitNotFound
        """
        ...

    async def get_commits(self, dataset: DatasetName, ids: Sequence[bytes]) -> Sequence[Commit]:
        """These commits, in this order. Raises what ``get_commit`` does."""
        ...

    async def find_commits(self, dataset: DatasetName, first: bytes, last: bytes, limit: int) -> Sequence[bytes]:
        """The ids from ``first`` to ``last``, in their order."""
        ...

    async def ancestry(self, ids: Sequence[bytes], limit: int) -> Sequence[Link]:
        """These commits and their ancestors, the nearest first: at most ``limit`` of them, but all of ``ids``.

        Takes time in proportion to what is returned.
        """
        ...


class Pointers(Protocol):
    """Branches and tags."""

    async def create_branch(self, branch: Branch) -> Branch:
        """Add a branch; its times and revision are the store's.

        Raises:
            BranchAlreadyExists: a branch or a tag has the name, in whatever case.
        """
        ...

    async def get_branch(self, name: BranchName) -> Branch:
        """One branch.

        Raises:
            DatasetNotFound, BranchNotFound
        """
        ...

    async def list_branches(self, dataset: DatasetName, after: str, limit: int) -> Sequence[Branch]:
        """Branches by name, from the one after ``after``."""
        ...

    async def move_branch(self, name: BranchName, head: bytes) -> Branch:
        """Point the branch elsewhere. What its head was may have become unreachable by this."""
        ...

    async def delete_branch(self, name: BranchName) -> None:
        """Remove the branch; as ``move_branch``."""
        ...

    async def create_tag(self, tag: Tag) -> Tag:
        """Add a tag; its time is the store's.

        Raises:
            TagAlreadyExists: a branch or a tag has the name, in whatever case.
        """
        ...

    async def get_tag(self, name: TagName) -> Tag:
        """One tag.

        Raises:
            DatasetNotFound, TagNotFound
        """
        ...

    async def list_tags(self, dataset: DatasetName, after: str, limit: int) -> Sequence[Tag]:
        """Tags by name, from the one after ``after``."""
        ...

    async def delete_tag(self, name: TagName) -> None:
        """Remove the tag; as ``move_branch``."""
        ...


class Versions(Protocol):
    """Semantic versions."""

    async def add_version(self, version: Version) -> Version:
        """Let the version name its commit, which is stored.

        Raises:
            CommitHasVersion
        """
        ...

    async def get_version(self, dataset: DatasetName, version: SemVer) -> Version:
        """One version.

        Raises:
            DatasetNotFound, VersionNotFound
        """
        ...

    async def list_versions(self, dataset: DatasetName, below: SemVer | None, limit: int) -> Sequence[Version]:
        """Versions, newest first, from the one before ``below``."""
        ...

    async def update_version(self, version: Version) -> Version:
        """Set what is said about the version, and its state; its revision grows."""
        ...


class History(Commits, Pointers, Versions, Protocol):
    """All of it."""
