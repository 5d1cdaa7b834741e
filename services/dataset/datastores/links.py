"""Use case of pointer versions: commit a place that rows are in instead of rows (M-18)."""

import dataclasses

from headwater.names import BranchName, DatasetName, DatastoreName
from services.dataset.datastores.datastores import usable
from services.dataset.datastores.errors import InvalidDataPath
from services.dataset.datastores.paths import check_path
from services.dataset.history.append import Appended, append_commit, head_of
from services.dataset.history.definition import DataPath, PathKind
from services.dataset.history.errors import BranchMoved
from services.dataset.history.model import Draft
from services.dataset.history.resolve import commit_in
from services.dataset.model import SemVer
from services.dataset.store import Store, Transaction
from services.dataset.uploads import CREATED, FOUND, ensure_dataset, replayed


@dataclasses.dataclass(frozen=True, slots=True)
class LinkRequest:
    """What CommitDataPath asks for."""

    branch: BranchName
    datastore: DatastoreName
    kind: PathKind
    path: str
    split_by: str
    version: SemVer | None
    message: str
    base_commit: str
    author: str
    request_id: str
    body: str
    """Digest of the request, for its replay."""


class Links:
    """Commits places."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def commit(self, request: LinkRequest) -> Appended:
        """Commit a place. The place is not asked: what is there is found when it is read.

        Raises:
            DatastoreNotFound, DatastoreArchived, InvalidDataPath, InvalidSplitBy
            DatasetAlreadyExists: another dataset's name differs in case only.
            BranchNotFound, BranchMoved, VersionNotGreater, RequestIdReused, and what ``commit_in`` does.
        """
        dataset = DatasetName(request.branch.project, request.branch.dataset)
        if request.datastore.project != dataset.project:
            raise InvalidDataPath("The datastore must be of the dataset's project.", datastore=request.datastore)
        async with self._store.transaction() as tx:
            first = await tx.first_result("CommitDataPath", request.request_id, request.body)
            if first is not None:
                return await replayed(tx, first)
            definition = await _definition(tx, request)
            await ensure_dataset(tx, dataset, request.author)
            await tx.get_dataset(dataset, lock=True)
            parents = await _parents(tx, request)
            draft = Draft(
                dataset=dataset,
                digest=b"",
                splits=(),
                message=request.message,
                author=request.author,
                definition=definition,
            )
            made = await append_commit(tx, request.branch, draft, parents, version=request.version)
            outcome = f"{made.commit.name} {CREATED if made.created else FOUND}"
            await tx.remember("CommitDataPath", request.request_id, request.body, outcome)
        return made


async def _definition(tx: Transaction, request: LinkRequest) -> DataPath:
    datastore = usable(await tx.get_datastore(request.datastore))
    path = DataPath(datastore.uid, request.kind, request.path, request.split_by, str(datastore.name))
    return check_path(datastore.place, path)


async def _parents(tx: Transaction, request: LinkRequest) -> list[bytes]:
    """The head of the branch, if it is the one that the caller has seen."""
    head = await head_of(tx, request.branch)
    if request.base_commit:
        dataset = DatasetName(request.branch.project, request.branch.dataset)
        base = await commit_in(tx, dataset, request.base_commit)
        if base.id != head:
            raise BranchMoved(branch=request.branch, head=head.hex() if head else "")
    return [head] if head else []
