"""Use cases of uploads: open, name source files, put rows, commit, abort."""

import dataclasses
from collections.abc import Sequence

from chassis.ids import new_id
from headwater import tree
from headwater.errors import InvalidArgument
from headwater.names import BranchName, DatasetName, DatasetVersionName, InvalidName, PipelineVersionName, UploadName
from services.dataset.datasets import new_dataset, read_schema, version_named
from services.dataset.errors import (
    DatasetAlreadyExists,
    DatasetNotFound,
    SplitSchemasDiffer,
    UploadEmpty,
    UploadNotOpen,
)
from services.dataset.history.append import Appended, append_commit, head_of
from services.dataset.history.definition import Dataflow, check_spec
from services.dataset.history.errors import BaseHasNoRows
from services.dataset.history.model import MAIN, About, Commit, Draft
from services.dataset.history.resolve import check_usable, commit_named
from services.dataset.model import (
    SemVer,
    SourceDigest,
    SourceFile,
    Split,
    Upload,
    UploadState,
    UploadTarget,
    check_source_path,
)
from services.dataset.rows.layout import Layout, parse_schema
from services.dataset.store import Store, Transaction

CREATED, FOUND = "created", "found"
"""How ``replayed`` is told whether a commit was made."""


class InvalidDerivation(InvalidArgument):
    """What a version is said to be derived from, or a dataflow to take in, is no version of a dataset or a pipeline."""

    reason = "INVALID_DERIVATION"
    text = "derived_from and inputs must name versions of datasets or pipelines."


@dataclasses.dataclass(frozen=True, slots=True)
class CommitRequest:
    """What CommitUpload asks for."""

    upload: UploadName
    version: SemVer | None
    message: str
    derived_from: tuple[str, ...]
    author: str
    request_id: str
    body: str
    """Digest of the request, for its replay."""
    dataflow: Dataflow | None = None
    """None: the rows were pushed."""
    about: About | None = None


class Uploads:
    """Rows on their way in."""

    def __init__(self, store: Store, ttl_s: float) -> None:
        self._store = store
        self._ttl_s = ttl_s

    async def create(
        self,
        dataset: DatasetName,
        *,
        author: str,
        request_id: str,
        body: str,
        branch: str = MAIN,
        inherit: bool = False,
    ) -> Upload:
        """Open an upload to a branch, and create the dataset if it is new.

        Raises:
            DatasetAlreadyExists: another dataset's name differs in case only.
            BranchNotFound: and it is not ``main``.
            VersionArchived, BaseHasNoRows: the branch's head, whose splits are to be inherited, cannot be used.
            RequestIdReused
        """
        name = BranchName(dataset.project, dataset.dataset, branch)
        async with self._store.transaction() as tx:
            first = await tx.first_result("CreateUpload", request_id, body)
            if first is not None:
                return await tx.get_upload(UploadName.parse(first))
            await ensure_dataset(tx, dataset, author)
            # Locked, so that the head is not dropped before the upload holds on to it.
            await tx.get_dataset(dataset, lock=True)
            base = await head_of(tx, name)
            if inherit and base is not None:
                await _inheritable(tx, dataset, base)
            target = UploadTarget(branch, base or b"", inherit)
            upload = await tx.create_upload(new_id(), dataset, author, self._ttl_s, target)
            await tx.remember("CreateUpload", request_id, body, str(upload.name))
            return upload

    async def get(self, name: UploadName) -> Upload:
        """One upload, or UploadNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_upload(name)

    async def require_open(self, name: UploadName) -> Upload:
        """The upload if it takes rows, or UploadNotFound, UploadNotOpen."""
        async with self._store.transaction() as tx:
            return open_upload(await tx.get_upload(name))

    async def add_source_files(self, name: UploadName, files: Sequence[SourceFile]) -> int:
        """Name files that the rows were made from; returns how many are named now.

        Raises:
            UploadNotFound, UploadNotOpen, SourceFileConflict, InvalidSourcePath
        """
        for file in files:
            check_source_path(file.path)
        async with self._store.transaction() as tx:
            upload = open_upload(await tx.get_upload(name, lock=True))
            await tx.touch_upload(upload.uid, self._ttl_s)
            return await tx.add_source_files(upload.uid, files)

    async def find_missing(self, name: UploadName, arrow_schema: bytes, digests: Sequence[bytes]) -> list[int]:
        """The positions of those chunks that are not stored in the layout of ``arrow_schema``; the others stay stored
        for as long as the upload is open.

        Raises:
            UploadNotFound, UploadNotOpen, MalformedSchema, and what ``Layout.of`` raises
        """
        layout = Layout.of(parse_schema(arrow_schema))
        async with self._store.transaction() as tx:
            upload = open_upload(await tx.get_upload(name))
            await tx.touch_upload(upload.uid, self._ttl_s)
            found = await tx.find_chunks(upload.uid, layout.digest, digests)
        return [position for position, digest in enumerate(digests) if digest not in found]

    async def abort(self, name: UploadName) -> Upload:
        """Give the upload up; aborting an aborted one changes nothing.

        Raises:
            UploadNotFound
            UploadNotOpen: it is committed.
        """
        async with self._store.transaction() as tx:
            upload = await tx.get_upload(name, lock=True)
            if upload.state is UploadState.COMMITTED:
                raise UploadNotOpen(upload=name, state=upload.state.value)
            await tx.close_upload(upload.uid, UploadState.ABORTED)
            return await tx.get_upload(name)

    async def commit(self, request: CommitRequest) -> Appended:
        """Make a commit of the upload, unless its branch's head has these rows and this definition already.

        Raises:
            UploadNotFound, UploadNotOpen, UploadEmpty, SplitSchemasDiffer, VersionNotGreater, RequestIdReused
            BranchNotFound, BranchMoved: the branch is gone, or elsewhere than when the upload was opened or rebased.
            VersionArchived: the upload inherits splits of a version that has been archived since.
            InvalidDerivation, VersionNotFound: what it is derived from does not exist.
            InvalidDataflow: the transformation is not JSON.
        """
        async with self._store.transaction() as tx:
            first = await tx.first_result("CommitUpload", request.request_id, request.body)
            if first is not None:
                return await replayed(tx, first)
            upload = open_upload(await tx.get_upload(request.upload, lock=True))
            branch = BranchName(upload.dataset.project, upload.dataset.dataset, upload.target.branch)
            parents = [upload.target.base] if upload.target.base else []
            draft = await _draft(tx, upload, request)
            made = await append_commit(tx, branch, draft, parents, version=request.version, about=request.about)
            await tx.close_upload(upload.uid, UploadState.COMMITTED)
            outcome = f"{made.commit.name} {CREATED if made.created else FOUND}"
            await tx.remember("CommitUpload", request.request_id, request.body, outcome)
        return made


def open_upload(upload: Upload) -> Upload:
    """The upload if it takes rows, or UploadNotOpen."""
    if upload.state is not UploadState.OPEN:
        raise UploadNotOpen(upload=upload.name, state=upload.state.value)
    return upload


async def splits_of(tx: Transaction, upload: Upload) -> tuple[Split, ...]:
    """The splits that a commit of the upload has: those that were put and, where it inherits, the others of its base.

    Raises:
        VersionArchived, BaseHasNoRows
    """
    splits = {split.name: split for split in upload.splits}
    if upload.target.inherit and upload.target.base:
        base = await _inheritable(tx, upload.dataset, upload.target.base)
        splits = {split.name: split for split in base.splits} | splits
    return tuple(splits[name] for name in sorted(splits))


async def _inheritable(tx: Transaction, dataset: DatasetName, id_: bytes) -> Commit:
    base = await tx.get_commit(dataset, id_)
    check_usable(base)
    if not base.splits:
        raise BaseHasNoRows(commit=base.name)
    return base


async def replayed(tx: Transaction, result: str) -> Appended:
    """What was answered before, as remembered: the commit's name, and CREATED or FOUND."""
    name, outcome = result.split()
    commit = await commit_named(tx, name, archived=True)
    version = await tx.get_version(commit.dataset, commit.named.version) if commit.named else None
    return Appended(commit, version, outcome == CREATED)


async def _draft(tx: Transaction, upload: Upload, request: CommitRequest) -> Draft:
    """What the upload is as a commit."""
    splits = await splits_of(tx, upload)
    if not splits:
        raise UploadEmpty(upload=upload.name)
    if len({_schema_digest(split) for split in splits}) > 1:
        raise SplitSchemasDiffer(splits=", ".join(split.name for split in splits))
    if request.dataflow is not None:
        check_spec(request.dataflow.spec_json)
    for name in (*request.derived_from, *(request.dataflow.inputs if request.dataflow else ())):
        await _check_derivation(tx, name)
    files = SourceDigest()
    async for page in tx.all_source_files(upload.uid):
        files.update(page)
    digests = [tree.Split(split.name, split.tree.root, split.tree.row_count) for split in splits]
    return Draft(
        dataset=upload.dataset,
        digest=tree.version_digest(read_schema(splits[0]), digests),
        splits=splits,
        message=request.message,
        author=request.author,
        definition=request.dataflow,
        derived_from=request.derived_from,
        source_file_count=files.count,
        source_digest=files.digest(),
        upload_uid=upload.uid,
    )


async def ensure_dataset(tx: Transaction, name: DatasetName, author: str) -> None:
    """Create the dataset if it is new, or DatasetAlreadyExists: another one's name differs in case only."""
    try:
        await tx.get_dataset(name)
    except DatasetNotFound:
        try:
            await tx.create_dataset(new_dataset(name, author))
        except DatasetAlreadyExists as taken:
            # By somebody who was just ahead of us, or by a name that differs in case only.
            try:
                await tx.get_dataset(name)
            except DatasetNotFound:
                raise taken from None


async def _check_derivation(tx: Transaction, name: str) -> None:
    try:
        dataset_version = DatasetVersionName.parse(name)
    except InvalidName:
        try:
            PipelineVersionName.parse(name)
        except InvalidName as error:
            raise InvalidDerivation(name=name) from error
    else:
        await version_named(tx, dataset_version)


def _schema_digest(split: Split) -> bytes:
    return tree.schema_digest(read_schema(split))
