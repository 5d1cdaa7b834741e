"""Looking at datasets and their versions."""

from collections.abc import Iterator, Mapping, Sequence

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, datasets_pb2_grpc, history_pb2, history_pb2_grpc
from headwater.errors import NotFound
from headwater.names import (
    DEFAULT_PROJECT,
    BranchName,
    CommitName,
    DatasetName,
    DatasetVersionName,
    ProjectName,
    TagName,
)
from headwater.pages import pages

_PAGE = 1000


def get(connection: Connection, dataset: str, *, project: str = DEFAULT_PROJECT) -> datasets_pb2.Dataset:
    """One dataset.

    Raises:
        NotFound: reason DATASET_NOT_FOUND.
    """
    name = references.dataset(dataset, project)
    return stub(connection).GetDataset(datasets_pb2.GetDatasetRequest(name=str(name)))


def update(
    connection: Connection,
    dataset: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    key_columns: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    hidden: bool | None = None,
    project: str = DEFAULT_PROJECT,
) -> datasets_pb2.Dataset:
    """Change what is said about a dataset; what is None stays as it is.

    Args:
        key_columns: the columns whose values name a row, for differences and merges by key; none: rows go by place.
        tags: words of your choice, in place of those that it has.
        hidden: not listed unless asked for.
    """
    changes = {
        "display_name": display_name,
        "description": description,
        "key_columns": key_columns,
        "tags": tags,
        "hidden": hidden,
    }
    given = {field: value for field, value in changes.items() if value is not None}
    wanted = datasets_pb2.Dataset(name=str(references.dataset(dataset, project)), **given)  # type: ignore[arg-type]
    request = datasets_pb2.UpdateDatasetRequest(dataset=wanted)
    request.update_mask.paths.extend(given)
    return stub(connection).UpdateDataset(request)


def list_datasets(
    connection: Connection, *, project: str = DEFAULT_PROJECT, show_hidden: bool = False
) -> Iterator[datasets_pb2.Dataset]:
    """The datasets of a project, by name."""
    parent = str(ProjectName(project))
    request = datasets_pb2.ListDatasetsRequest(parent=parent, page_size=_PAGE, show_hidden=show_hidden)
    for page in pages(stub(connection).ListDatasets, request):
        yield from page.datasets


def resolve(connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT) -> str:
    """The resource name of what ``reference`` leads to, for reading: of a version or, if it has none, of a commit.

    ``digits`` is the latest version, and a branch is where it is now: whoever reads several splits by the answer gets
    them from one commit.

    Raises:
        NoVersionYet: a dataset is named, and has none.
        NotFound: reasons DATASET_NOT_FOUND, COMMIT_NOT_FOUND, BRANCH_NOT_FOUND, TAG_NOT_FOUND.
    """
    name = references.dataset_revision(reference, project)
    if isinstance(name, DatasetVersionName):
        return str(name)
    if isinstance(name, DatasetName):
        latest = stub(connection).GetDataset(datasets_pb2.GetDatasetRequest(name=str(name))).latest_version
        if not latest:
            raise references.NoVersionYet(dataset=name)
        return f"{name}/versions/{latest}"
    commit = commit_of(connection, name)
    return f"{commit.name.rpartition('/commits/')[0]}/versions/{commit.version}" if commit.version else commit.name


def resolve_version(connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT) -> str:
    """As ``resolve``, where only a version will do.

    Raises:
        NoVersionYet: also when a commit is named that has none.
    """
    name = resolve(connection, reference, project=project)
    if "/commits/" in name:
        raise references.NoVersionYet("The commit has no version: give it one first.", commit=name)
    return name


def commit_of(
    connection: Connection, name: CommitName | BranchName | TagName | DatasetVersionName | references.BranchOrTag
) -> history_pb2.Commit:
    """The commit that a name leads to; a word is looked for among the branches, then among the tags.

    Raises:
        NotFound
    """
    service = history_stub(connection)
    if not isinstance(name, references.BranchOrTag):
        return service.GetCommit(history_pb2.GetCommitRequest(name=str(name)))
    try:
        return service.GetCommit(history_pb2.GetCommitRequest(name=f"{name.dataset}/branches/{name.word}"))
    except NotFound as error:
        if error.reason != "BRANCH_NOT_FOUND":
            raise
    return service.GetCommit(history_pb2.GetCommitRequest(name=f"{name.dataset}/tags/{name.word}"))


def get_version(
    connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT
) -> datasets_pb2.DatasetVersion:
    """One version, with its digest, schema, splits and what it was derived from."""
    request = datasets_pb2.GetDatasetVersionRequest(name=resolve_version(connection, reference, project=project))
    return stub(connection).GetDatasetVersion(request)


def list_versions(
    connection: Connection, dataset: str, *, project: str = DEFAULT_PROJECT
) -> Iterator[datasets_pb2.DatasetVersion]:
    """The versions of a dataset, newest first."""
    parent = str(references.dataset(dataset, project))
    request = datasets_pb2.ListDatasetVersionsRequest(parent=parent, page_size=_PAGE)
    for page in pages(stub(connection).ListDatasetVersions, request):
        yield from page.dataset_versions


def list_chunks(
    connection: Connection, version: str, split: str = "", *, project: str = DEFAULT_PROJECT
) -> Iterator[datasets_pb2.Chunk]:
    """The chunks of a split in row order. ``version`` is a resource name or a reference, or a split's address."""
    version, split = references.split_within(version, split, project)
    parent = resolve_version(connection, version, project=project)
    request = datasets_pb2.ListChunksRequest(parent=parent, split=split, page_size=_PAGE)
    for page in pages(stub(connection).ListChunks, request):
        yield from page.chunks


def list_source_files(
    connection: Connection, version: str, *, project: str = DEFAULT_PROJECT
) -> Iterator[datasets_pb2.SourceFile]:
    """The files that a version was made from, by path. ``version`` is a resource name or a reference."""
    parent = resolve_version(connection, version, project=project)
    request = datasets_pb2.ListSourceFilesRequest(parent=parent, page_size=_PAGE)
    for page in pages(stub(connection).ListSourceFiles, request):
        yield from page.source_files


def stub(connection: Connection) -> datasets_pb2_grpc.DatasetServiceStub:
    """The dataset service over ``connection``."""
    return datasets_pb2_grpc.DatasetServiceStub(connection.channel("dataset"))


def history_stub(connection: Connection) -> history_pb2_grpc.DatasetHistoryServiceStub:
    """The history of datasets over ``connection``."""
    return history_pb2_grpc.DatasetHistoryServiceStub(connection.channel("dataset"))
