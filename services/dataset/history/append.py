"""Adding commits to branches, and naming them: what commits of uploads, merges, reverts and places have in common."""

import dataclasses
from collections.abc import Sequence

import pyarrow as pa

from chassis.clock import SystemClock
from chassis.ids import new_id
from headwater import tree
from headwater.names import BranchName, DatasetName
from services.dataset.history.errors import BranchMoved, BranchNotFound, CommitHasVersion
from services.dataset.history.model import MAIN, About, Branch, Commit, Draft, Version, commit_of
from services.dataset.model import SemVer, next_version
from services.dataset.store import Transaction


@dataclasses.dataclass(frozen=True, slots=True)
class Appended:
    """The branch's head, and whether it is new."""

    commit: Commit
    version: Version | None
    """None when the commit has none."""
    created: bool


async def append_commit(
    tx: Transaction,
    branch: BranchName,
    draft: Draft,
    parents: Sequence[bytes],
    *,
    version: SemVer | None = None,
    about: About | None = None,
) -> Appended:
    """Add the draft to the branch whose head is the first of ``parents``; none begins the branch ``main``.

    Commits to ``main`` get the next version, or ``version``; those to other branches get ``version``, if that is given.
    When the head has this very content and definition, no commit is made, wherever the head is; a merge, with more than
    one parent, always makes one. Locks the dataset, so what takes long is to be done before.

    Raises:
        DatasetNotFound
        BranchNotFound: it does not exist, and is not ``main``.
        BranchMoved: its head is another one.
        VersionNotGreater: and nothing has happened.
        CommitHasVersion: the head has this very content already, under another version than was asked for.
    """
    dataset = DatasetName(branch.project, branch.dataset)
    uid = (await tx.get_dataset(dataset, lock=True)).uid
    head = await head_of(tx, branch)
    if head is not None and len(parents) < 2:
        present = await tx.get_commit(dataset, head)
        if is_same(present, draft):
            return await _with_version(tx, branch, present, version, about, created=False)
    if head != (parents[0] if parents else None):
        raise BranchMoved(branch=branch, head=head.hex() if head else "")
    commit = await tx.add_commit(commit_of(draft, uid, parents, await tx.now()))
    if head is None:
        await tx.create_branch(new_branch(branch, commit.id, draft.author))
    else:
        await tx.move_branch(branch, commit.id)
    return await _with_version(tx, branch, commit, version, about, created=True)


async def forward_branch(
    tx: Transaction, branch: BranchName, head: bytes, commit: Commit, *, version: SemVer | None = None
) -> Appended:
    """Point the branch, whose head is ``head``, at a commit that goes on from there; versions as in ``append_commit``.

    Raises:
        DatasetNotFound, BranchNotFound, BranchMoved, VersionNotGreater
    """
    await tx.get_dataset(commit.dataset, lock=True)
    present = (await tx.get_branch(branch)).head
    if present != head:
        raise BranchMoved(branch=branch, head=present.hex())
    await tx.move_branch(branch, commit.id)
    return await _with_version(tx, branch, commit, version, None, created=True)


async def name_commit(tx: Transaction, commit: Commit, requested: SemVer | None, about: About | None) -> Version:
    """Give the commit the requested version, or the next one: the next minor, or major when the columns changed.

    Raises:
        CommitHasVersion, VersionNotGreater
    """
    dataset = await tx.get_dataset(commit.dataset, lock=True)
    changed = False
    if dataset.latest is not None:
        latest = (await tx.get_version(commit.dataset, dataset.latest)).commit
        changed = _schema_digest(latest) != _schema_digest(commit)
    number = next_version(dataset.latest, requested, schema_changed=changed)
    version = await tx.add_version(Version(new_id(), commit, number, dataset.latest, about or About()))
    await tx.update_dataset(dataclasses.replace(dataset, latest=number))
    return version


async def head_of(tx: Transaction, branch: BranchName) -> bytes | None:
    """The head of the branch; None for ``main`` before the first commit.

    Raises:
        DatasetNotFound, BranchNotFound
    """
    try:
        return (await tx.get_branch(branch)).head
    except BranchNotFound:
        if branch.branch != MAIN:
            raise
        return None


def new_branch(name: BranchName, head: bytes, author: str) -> Branch:
    """A branch that the store has not seen yet; the times are the store's to set."""
    now = SystemClock().now()
    return Branch(name, head, 1, author, now, now)


def is_same(commit: Commit, draft: Draft) -> bool:
    """Whether the commit has the draft's content and definition."""
    return (commit.digest, commit.definition) == (draft.digest, draft.definition)


async def _with_version(
    tx: Transaction, branch: BranchName, commit: Commit, requested: SemVer | None, about: About | None, *, created: bool
) -> Appended:
    """The commit with its version, which it gets now if it should have one and has none."""
    if commit.named is not None:
        if requested not in (None, commit.named.version):
            raise CommitHasVersion(commit=commit.name, version=commit.named.version)
        return Appended(commit, await tx.get_version(commit.dataset, commit.named.version), created)
    if requested is None and branch.branch != MAIN:
        return Appended(commit, None, created)
    version = await name_commit(tx, commit, requested, about)
    return Appended(version.commit, version, created)


def _schema_digest(commit: Commit) -> bytes:
    """Empty when no rows are stored."""
    if not commit.splits:
        return b""
    return tree.schema_digest(pa.ipc.read_schema(pa.py_buffer(commit.arrow_schema)))
