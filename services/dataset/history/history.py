"""Use cases of the history: look at commits, make and move branches and tags."""

from collections.abc import Sequence

from chassis import etags
from chassis.clock import SystemClock
from chassis.paging import InvalidPageToken, Page, decode_token, encode_token, page_of, page_size, query_digest
from headwater.names import BranchName, DatasetName, TagName
from services.dataset.history.append import new_branch
from services.dataset.history.errors import MainIsPermanent, NameLooksLikeCommit
from services.dataset.history.graph import newest_first
from services.dataset.history.model import MAIN, Branch, Commit, Tag
from services.dataset.history.resolve import commit_in, commit_named, looks_like_commit
from services.dataset.store import Store, Transaction

_WIDEST_TOKEN = 40
"""Where a page ends between more lines of commits than this, the next page walks from the start again."""


class History:
    """Commits, branches and tags. ``size`` and ``token`` are those of AIP-158; commits are named as in ``resolve``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get_commit(self, name: str) -> Commit:
        """The commit that the name leads to, whatever the state of its version. Raises what ``commit_named`` does."""
        async with self._store.transaction() as tx:
            return await commit_named(tx, name, archived=True)

    async def list_commits(self, dataset: DatasetName, start: str, size: int, token: str) -> Page[Commit]:
        """A commit and all before it, newest first, at the cost of a page. Raises what ``commit_in`` does."""
        limit, query = page_size(size), query_digest("commits", dataset, start)
        after = decode_token(token, query)
        async with self._store.transaction() as tx:
            if after is None:
                main = BranchName(dataset.project, dataset.dataset, MAIN)
                first = await commit_in(tx, dataset, start or str(main), archived=True)
                starts, below = [first.id], None
            else:
                starts, below = await _resume(tx, dataset, after)
            found, rest = await newest_first(tx, starts, limit, below)
            commits = await tx.get_commits(dataset, [link.id for link in found])
        if not rest:
            return Page(commits)
        places = rest if len(rest) <= _WIDEST_TOKEN else starts
        return Page(commits, encode_token((found[-1].number, *(place.hex() for place in places)), query))

    async def create_branch(self, name: BranchName, commit: str, *, author: str, request_id: str, body: str) -> Branch:
        """Begin a branch at a commit.

        Raises:
            BranchAlreadyExists, NameLooksLikeCommit, RequestIdReused, VersionArchived, and what ``commit_in`` does.
        """
        _check_name(name.branch)
        async with self._store.transaction() as tx:
            first = await tx.first_result("CreateBranch", request_id, body)
            if first is not None:
                return await tx.get_branch(name)
            head = await _locked_commit(tx, name, commit)
            branch = await tx.create_branch(new_branch(name, head.id, author))
            await tx.remember("CreateBranch", request_id, body, str(name))
            return branch

    async def get_branch(self, name: BranchName) -> Branch:
        """One branch, or DatasetNotFound, BranchNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_branch(name)

    async def list_branches(self, dataset: DatasetName, size: int, token: str) -> Page[Branch]:
        """The branches of a dataset by name, or DatasetNotFound."""
        limit, query = page_size(size), query_digest("branches", dataset)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            await tx.get_dataset(dataset)
            rows = await tx.list_branches(dataset, str(after[0]) if after else "", limit + 1)
        return page_of(rows, limit, key=lambda branch: (branch.name.branch,), query=query)

    async def reset_branch(self, name: BranchName, commit: str, etag: str) -> Branch:
        """Point the branch at another commit.

        Raises:
            EtagMismatch: the branch is not where the caller has seen it.
            BranchNotFound, VersionArchived, and what ``commit_in`` does.
        """
        async with self._store.transaction() as tx:
            target = await _locked_commit(tx, name, commit)
            branch = await tx.get_branch(name)
            etags.check(etag, etags.etag_of(branch.revision))
            return await tx.move_branch(name, target.id)

    async def delete_branch(self, name: BranchName, etag: str) -> None:
        """Delete the branch, and none of its commits.

        Raises:
            DatasetNotFound, BranchNotFound, EtagMismatch
            MainIsPermanent
        """
        async with self._store.transaction() as tx:
            await tx.get_dataset(DatasetName(name.project, name.dataset), lock=True)
            branch = await tx.get_branch(name)
            if name.branch == MAIN:
                raise MainIsPermanent(branch=name)
            etags.check(etag, etags.etag_of(branch.revision))
            await tx.delete_branch(name)

    async def create_tag(
        self, name: TagName, commit: str, message: str, *, author: str, request_id: str, body: str
    ) -> Tag:
        """Give a commit a name that does not move.

        Raises:
            TagAlreadyExists, NameLooksLikeCommit, RequestIdReused, VersionArchived, and what ``commit_in`` does.
        """
        _check_name(name.tag)
        async with self._store.transaction() as tx:
            first = await tx.first_result("CreateTag", request_id, body)
            if first is not None:
                return await tx.get_tag(name)
            target = await _locked_commit(tx, name, commit)
            tag = await tx.create_tag(Tag(name, target.id, message, author, SystemClock().now()))
            await tx.remember("CreateTag", request_id, body, str(name))
            return tag

    async def get_tag(self, name: TagName) -> Tag:
        """One tag, or DatasetNotFound, TagNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_tag(name)

    async def list_tags(self, dataset: DatasetName, size: int, token: str) -> Page[Tag]:
        """The tags of a dataset by name, or DatasetNotFound."""
        limit, query = page_size(size), query_digest("tags", dataset)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            await tx.get_dataset(dataset)
            rows = await tx.list_tags(dataset, str(after[0]) if after else "", limit + 1)
        return page_of(rows, limit, key=lambda tag: (tag.name.tag,), query=query)

    async def delete_tag(self, name: TagName) -> None:
        """Delete the tag, not its commit; or DatasetNotFound, TagNotFound."""
        async with self._store.transaction() as tx:
            await tx.get_dataset(DatasetName(name.project, name.dataset), lock=True)
            await tx.delete_tag(name)


async def _locked_commit(tx: Transaction, name: BranchName | TagName, commit: str) -> Commit:
    """The commit, of the dataset of the branch or tag, which cannot be dropped before the transaction ends."""
    dataset = DatasetName(name.project, name.dataset)
    await tx.get_dataset(dataset, lock=True)
    return await commit_in(tx, dataset, commit)


async def _resume(tx: Transaction, dataset: DatasetName, after: Sequence[str | int]) -> tuple[list[bytes], int]:
    """From where to walk on, and below which number, as a page token says.

    Raises:
        InvalidPageToken: it does not say so.
        CommitNotFound: what it says was dropped since.
    """
    number, *places = after
    try:
        if not isinstance(number, int) or not places:
            raise InvalidPageToken
        ids = [bytes.fromhex(str(place)) for place in places]
    except ValueError as error:
        raise InvalidPageToken from error
    await tx.get_commits(dataset, ids)
    return ids, number


def _check_name(name: str) -> None:
    if looks_like_commit(name):
        raise NameLooksLikeCommit(name=name)
