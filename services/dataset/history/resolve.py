"""From names to commits: the one place that knows what a user may write where a commit is wanted."""

import re

from headwater.names import BranchName, CommitName, DatasetName, DatasetVersionName, TagName
from services.dataset.history.errors import (
    CommitAmbiguous,
    CommitNotFound,
    InvalidCommit,
    InvalidReference,
    VersionArchived,
)
from services.dataset.history.model import Commit, VersionState
from services.dataset.model import SemVer
from services.dataset.store import Transaction

Reference = DatasetVersionName | CommitName | BranchName | TagName
_KINDS: dict[str, type[Reference]] = {
    "versions": DatasetVersionName,
    "commits": CommitName,
    "branches": BranchName,
    "tags": TagName,
}
_DIGITS = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
_ID_DIGITS = 64


def parse(name: str, field: str = "name") -> Reference:
    """The name of a version, a commit, a branch or a tag.

    Raises:
        InvalidReference: it is the name of something else.
        InvalidName: one of its segments is not legal.
    """
    segments = name.split("/")
    kind = _KINDS.get(segments[4]) if len(segments) == 6 else None
    if kind is None:
        raise InvalidReference(field=field)
    return kind.parse(name, field)


def dataset_of(reference: Reference) -> DatasetName:
    """The dataset that the reference leads into."""
    return DatasetName(reference.project, reference.dataset)


async def commit_named(tx: Transaction, name: str, *, archived: bool = False, field: str = "name") -> Commit:
    """The commit that the name of a version, commit, branch or tag leads to, to be used: that is, read or built upon.

    A commit may be named by the first 8 or more of its digits.

    Args:
        archived: also when its version is archived; for answers about it.

    Raises:
        InvalidReference, InvalidName, InvalidVersion, InvalidCommit, CommitAmbiguous
        DatasetNotFound, VersionNotFound, CommitNotFound, BranchNotFound, TagNotFound
        VersionArchived
    """
    return await commit_of(tx, parse(name, field), archived=archived)


async def commit_in(tx: Transaction, dataset: DatasetName, name: str, *, archived: bool = False) -> Commit:
    """As ``commit_named``, and InvalidReference when the name leads into another dataset."""
    reference = parse(name, "commit")
    if dataset_of(reference) != dataset:
        raise InvalidReference(field="commit", dataset=dataset)
    return await commit_of(tx, reference, archived=archived)


async def commit_of(tx: Transaction, reference: Reference, *, archived: bool = False) -> Commit:
    """As ``commit_named``, of a name that is parsed already."""
    dataset = dataset_of(reference)
    if isinstance(reference, DatasetVersionName):
        commit = (await tx.get_version(dataset, SemVer.parse(reference.version))).commit
    elif isinstance(reference, BranchName):
        commit = await tx.get_commit(dataset, (await tx.get_branch(reference)).head)
    elif isinstance(reference, TagName):
        commit = await tx.get_commit(dataset, (await tx.get_tag(reference)).target)
    else:
        commit = await tx.get_commit(dataset, await _id(tx, dataset, reference))
    if not archived:
        check_usable(commit)
    return commit


def check_usable(commit: Commit) -> None:
    """Go on unless the commit's version is archived.

    Raises:
        VersionArchived: saying why it is.
    """
    if commit.named is not None and commit.named.state is VersionState.ARCHIVED:
        raise VersionArchived(version=commit.named.version, dataset=commit.dataset, why=commit.named.state_message)


def looks_like_commit(name: str) -> bool:
    """Whether a branch or tag of this name would be mistaken for a commit."""
    return _DIGITS.fullmatch(name.lower()) is not None


async def _id(tx: Transaction, dataset: DatasetName, name: CommitName) -> bytes:
    digits = name.commit
    if _DIGITS.fullmatch(digits) is None:
        raise InvalidCommit(commit=digits)
    if len(digits) == _ID_DIGITS:
        return bytes.fromhex(digits)
    first, last = (bytes.fromhex(digits.ljust(_ID_DIGITS, end)) for end in "0f")
    found = await tx.find_commits(dataset, first, last, 2)
    if len(found) > 1:
        raise CommitAmbiguous(commit=digits)
    if not found:
        await tx.get_dataset(dataset)
        raise CommitNotFound(dataset=dataset, commit=digits)
    return found[0]
