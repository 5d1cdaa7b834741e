"""Looking at datasets and their versions."""

from collections.abc import Iterator

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, datasets_pb2_grpc
from headwater.names import DEFAULT_PROJECT, DatasetName, ProjectName

_PAGE = 1000


def get(connection: Connection, dataset: str, *, project: str = DEFAULT_PROJECT) -> datasets_pb2.Dataset:
    """One dataset.

    Raises:
        NotFound: reason DATASET_NOT_FOUND.
    """
    name = references.dataset(dataset, project)
    return stub(connection).GetDataset(datasets_pb2.GetDatasetRequest(name=str(name)))


def list_datasets(connection: Connection, *, project: str = DEFAULT_PROJECT) -> Iterator[datasets_pb2.Dataset]:
    """The datasets of a project, by name."""
    request = datasets_pb2.ListDatasetsRequest(parent=str(ProjectName(project)), page_size=_PAGE)
    while True:
        page = stub(connection).ListDatasets(request)
        yield from page.datasets
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def resolve(connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT) -> str:
    """The resource name of a version: the one that ``reference`` names, or the latest of that dataset.

    Raises:
        NoVersionYet: the dataset has none.
    """
    name = references.dataset_version(reference, project)
    if not isinstance(name, DatasetName):
        return str(name)
    latest = stub(connection).GetDataset(datasets_pb2.GetDatasetRequest(name=str(name))).latest_version
    if not latest:
        raise references.NoVersionYet(dataset=name)
    return f"{name}/versions/{latest}"


def get_version(
    connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT
) -> datasets_pb2.DatasetVersion:
    """One version, with its digest, schema, splits and what it was derived from."""
    request = datasets_pb2.GetDatasetVersionRequest(name=resolve(connection, reference, project=project))
    return stub(connection).GetDatasetVersion(request)


def list_versions(
    connection: Connection, dataset: str, *, project: str = DEFAULT_PROJECT
) -> Iterator[datasets_pb2.DatasetVersion]:
    """The versions of a dataset, newest first."""
    parent = str(references.dataset(dataset, project))
    request = datasets_pb2.ListDatasetVersionsRequest(parent=parent, page_size=_PAGE)
    while True:
        page = stub(connection).ListDatasetVersions(request)
        yield from page.dataset_versions
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def list_chunks(connection: Connection, version: str, split: str) -> Iterator[datasets_pb2.Chunk]:
    """The chunks of a split in row order. ``version`` is a resource name."""
    request = datasets_pb2.ListChunksRequest(parent=version, split=split, page_size=_PAGE)
    while True:
        page = stub(connection).ListChunks(request)
        yield from page.chunks
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def list_source_files(connection: Connection, version: str) -> Iterator[datasets_pb2.SourceFile]:
    """The files that a version was made from, by path. ``version`` is a resource name."""
    request = datasets_pb2.ListSourceFilesRequest(parent=version, page_size=_PAGE)
    while True:
        page = stub(connection).ListSourceFiles(request)
        yield from page.source_files
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def stub(connection: Connection) -> datasets_pb2_grpc.DatasetServiceStub:
    """The dataset service over ``connection``."""
    return datasets_pb2_grpc.DatasetServiceStub(connection.channel("dataset"))
