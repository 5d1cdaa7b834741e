"""Use cases of uploads: open, name source files, put rows, commit, abort."""

import dataclasses
from collections.abc import Sequence
from dataclasses import replace

from chassis.ids import new_id
from headwater import tree
from headwater.errors import InvalidArgument
from headwater.names import DatasetName, DatasetVersionName, InvalidName, PipelineVersionName, UploadName
from services.dataset.datasets import new_dataset, read_schema, version_named
from services.dataset.errors import (
    DatasetAlreadyExists,
    DatasetNotFound,
    SplitSchemasDiffer,
    UploadEmpty,
    UploadNotOpen,
)
from services.dataset.model import (
    FIRST_VERSION,
    SemVer,
    SourceDigest,
    SourceFile,
    Split,
    Upload,
    UploadState,
    Version,
    check_source_path,
    next_version,
)
from services.dataset.store import Store, Transaction

_CREATED, _FOUND = "created", "found"


class InvalidDerivation(InvalidArgument):
    """What a version is said to be derived from is no version of a dataset or a pipeline."""

    reason = "INVALID_DERIVATION"
    text = "derived_from must name versions of datasets or pipelines."


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """What CommitUpload asks for."""

    upload: UploadName
    version: SemVer | None
    message: str
    derived_from: tuple[str, ...]
    author: str
    request_id: str
    body: str
    """Digest of the request, for its replay."""


class Uploads:
    """Rows on their way in."""

    def __init__(self, store: Store, ttl_s: float) -> None:
        self._store = store
        self._ttl_s = ttl_s

    async def create(self, dataset: DatasetName, *, author: str, request_id: str, body: str) -> Upload:
        """Open an upload, and create the dataset if it is new.

        Raises:
            DatasetAlreadyExists: another dataset's name differs in case only.
            RequestIdReused
        """
        async with self._store.transaction() as tx:
            first = await tx.first_result("CreateUpload", request_id, body)
            if first is not None:
                return await tx.get_upload(UploadName.parse(first))
            await _ensure_dataset(tx, dataset, author)
            upload = await tx.create_upload(new_id(), dataset, author, self._ttl_s)
            await tx.remember("CreateUpload", request_id, body, str(upload.name))
            return upload

    async def get(self, name: UploadName) -> Upload:
        """One upload, or UploadNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_upload(name)

    async def require_open(self, name: UploadName) -> Upload:
        """The upload if it takes rows, or UploadNotFound, UploadNotOpen."""
        async with self._store.transaction() as tx:
            return _open(await tx.get_upload(name))

    async def add_source_files(self, name: UploadName, files: Sequence[SourceFile]) -> int:
        """Name files that the rows were made from; returns how many are named now.

        Raises:
            UploadNotFound, UploadNotOpen, SourceFileConflict, InvalidSourcePath
        """
        for file in files:
            check_source_path(file.path)
        async with self._store.transaction() as tx:
            upload = _open(await tx.get_upload(name, lock=True))
            await tx.touch_upload(upload.uid, self._ttl_s)
            return await tx.add_source_files(upload.uid, files)

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

    async def commit(self, commit: Commit) -> tuple[Version, bool]:
        """Make a version of the upload; False with it when the latest version has these rows already.

        Commits to one dataset queue on the dataset's row, so both of two concurrent ones succeed, one after the other.

        Raises:
            UploadNotFound, UploadNotOpen, UploadEmpty, SplitSchemasDiffer, VersionNotGreater, RequestIdReused
            InvalidDerivation, VersionNotFound: what it is derived from does not exist.
        """
        async with self._store.transaction() as tx:
            first = await tx.first_result("CommitUpload", commit.request_id, commit.body)
            if first is not None:
                name, outcome = first.split()
                return await version_named(tx, DatasetVersionName.parse(name)), outcome == _CREATED
            upload = _open(await tx.get_upload(commit.upload, lock=True))
            draft = await _draft(tx, upload, commit)
            version, created = await _append(tx, draft, commit.version)
            await tx.close_upload(upload.uid, UploadState.COMMITTED)
            outcome = _CREATED if created else _FOUND
            await tx.remember("CommitUpload", commit.request_id, commit.body, f"{version.name} {outcome}")
        return version, created


async def _draft(tx: Transaction, upload: Upload, commit: Commit) -> Version:
    """The version that the upload would be as the first of its dataset."""
    if not upload.splits:
        raise UploadEmpty(upload=upload.name)
    if len({_schema_digest(split) for split in upload.splits}) > 1:
        raise SplitSchemasDiffer(splits=", ".join(split.name for split in upload.splits))
    for name in commit.derived_from:
        await _check_derivation(tx, name)
    files = SourceDigest()
    async for page in tx.all_source_files(upload.uid):
        files.update(page)
    splits = [tree.Split(split.name, split.tree.root, split.tree.row_count) for split in upload.splits]
    return Version(
        uid=new_id(),
        dataset=upload.dataset,
        version=FIRST_VERSION,
        digest=tree.version_digest(read_schema(upload.splits[0]), splits),
        splits=upload.splits,
        parent=None,
        message=commit.message,
        author=commit.author,
        derived_from=commit.derived_from,
        source_file_count=files.count,
        source_digest=files.digest(),
        upload_uid=upload.uid,
        create_time=upload.create_time,
    )


async def _append(tx: Transaction, draft: Version, requested: SemVer | None) -> tuple[Version, bool]:
    """Add the draft after the dataset's latest version, unless that has the same content."""
    dataset = await tx.get_dataset(draft.dataset, lock=True)
    if dataset.latest is None:
        return await tx.add_version(replace(draft, version=next_version(None, requested, schema_changed=False))), True
    head = await tx.get_version(draft.dataset, dataset.latest)
    if head.digest == draft.digest:
        return head, False
    schema_changed = _schema_digest(head.splits[0]) != _schema_digest(draft.splits[0])
    number = next_version(head.version, requested, schema_changed=schema_changed)
    return await tx.add_version(replace(draft, version=number, parent=head.version)), True


async def _ensure_dataset(tx: Transaction, name: DatasetName, author: str) -> None:
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


def _open(upload: Upload) -> Upload:
    if upload.state is not UploadState.OPEN:
        raise UploadNotOpen(upload=upload.name, state=upload.state.value)
    return upload


def _schema_digest(split: Split) -> bytes:
    return tree.schema_digest(read_schema(split))
