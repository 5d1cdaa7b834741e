"""The history of a dataset: commits, branches, tags, and the states of versions.

    side = history.create_branch(connection, "digits", "relabel", at="v1.0.0")
    datasets.push(connection, "digits", source, branch="relabel")
    for commit in history.log(connection, "digits@relabel"): ...
    history.create_version(connection, "digits", at="relabel")

``at`` and ``to`` say a commit: ``v1.0.0``, a branch, a tag, the first 8 or more digits of a commit, or a resource name.
"""

import uuid
from collections.abc import Iterator

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, history_pb2
from headwater.datasets.catalog import commit_of, history_stub, resolve_version, stub
from headwater.names import DEFAULT_PROJECT, DatasetName
from headwater.pages import pages

MAIN = "main"
_PAGE = 1000


def get_commit(connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT) -> history_pb2.Commit:
    """The commit that ``digits@main``, ``digits@v1.0.0``, … leads to; ``digits`` is where ``main`` is.

    Raises:
        NotFound: reasons DATASET_NOT_FOUND, COMMIT_NOT_FOUND, BRANCH_NOT_FOUND, TAG_NOT_FOUND.
    """
    request = history_pb2.GetCommitRequest(name=_commit(connection, reference, project))
    return history_stub(connection).GetCommit(request)


def log(
    connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT, page_size: int = 100
) -> Iterator[history_pb2.Commit]:
    """The commit that ``reference`` leads to and all before it, newest first; of a merge, both sides.

    A page of commits is asked for when the one before it is used up, so that looking at the first ones is cheap.
    """
    start = _commit(connection, reference, project)
    parent = "/".join(start.split("/")[:4])
    request = history_pb2.ListCommitsRequest(parent=parent, start=start, page_size=page_size)
    for page in pages(history_stub(connection).ListCommits, request):
        yield from page.commits


def create_branch(
    connection: Connection, dataset: str, branch: str, *, at: str = MAIN, project: str = DEFAULT_PROJECT
) -> history_pb2.Branch:
    """Begin a branch at a commit.

    Raises:
        AlreadyExists: reason BRANCH_ALREADY_EXISTS: a branch or tag has the name, in whatever case.
    """
    parent = references.dataset(dataset, project)
    request = history_pb2.CreateBranchRequest(
        parent=str(parent), branch_id=branch, commit=_at(connection, parent, at), request_id=str(uuid.uuid4())
    )
    return history_stub(connection).CreateBranch(request)


def get_branch(
    connection: Connection, dataset: str, branch: str, *, project: str = DEFAULT_PROJECT
) -> history_pb2.Branch:
    """One branch."""
    name = f"{references.dataset(dataset, project)}/branches/{branch}"
    return history_stub(connection).GetBranch(history_pb2.GetBranchRequest(name=name))


def list_branches(
    connection: Connection, dataset: str, *, project: str = DEFAULT_PROJECT
) -> Iterator[history_pb2.Branch]:
    """The branches of a dataset, by name."""
    parent = str(references.dataset(dataset, project))
    request = history_pb2.ListBranchesRequest(parent=parent, page_size=_PAGE)
    for page in pages(history_stub(connection).ListBranches, request):
        yield from page.branches


def reset_branch(connection: Connection, branch: history_pb2.Branch, to: str) -> history_pb2.Branch:
    """Point a branch at another commit, if it still is where ``branch``, as it was read, says.

    Raises:
        Aborted: reason ETAG_MISMATCH: it has moved since.
    """
    target = _at(connection, _dataset_of(branch.name), to)
    request = history_pb2.ResetBranchRequest(name=branch.name, commit=target, etag=branch.etag)
    return history_stub(connection).ResetBranch(request)


def delete_branch(connection: Connection, branch: history_pb2.Branch) -> None:
    """Delete a branch, if it still is as it was read. Commits that nothing else leads to are dropped after a while.

    Raises:
        Aborted: reason ETAG_MISMATCH: it has moved since.
        FailedPrecondition: reason MAIN_IS_PERMANENT.
    """
    history_stub(connection).DeleteBranch(history_pb2.DeleteBranchRequest(name=branch.name, etag=branch.etag))


def create_tag(
    connection: Connection,
    dataset: str,
    tag: str,
    *,
    at: str = MAIN,
    message: str = "",
    project: str = DEFAULT_PROJECT,
) -> history_pb2.Tag:
    """Give a commit a name that does not move.

    Raises:
        AlreadyExists: reason TAG_ALREADY_EXISTS: a branch or tag has the name, in whatever case.
    """
    parent = references.dataset(dataset, project)
    request = history_pb2.CreateTagRequest(
        parent=str(parent),
        tag_id=tag,
        commit=_at(connection, parent, at),
        message=message,
        request_id=str(uuid.uuid4()),
    )
    return history_stub(connection).CreateTag(request)


def list_tags(connection: Connection, dataset: str, *, project: str = DEFAULT_PROJECT) -> Iterator[history_pb2.Tag]:
    """The tags of a dataset, by name."""
    request = history_pb2.ListTagsRequest(parent=str(references.dataset(dataset, project)), page_size=_PAGE)
    for page in pages(history_stub(connection).ListTags, request):
        yield from page.tags


def delete_tag(connection: Connection, dataset: str, tag: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Delete a tag, not its commit."""
    name = f"{references.dataset(dataset, project)}/tags/{tag}"
    history_stub(connection).DeleteTag(history_pb2.DeleteTagRequest(name=name))


def create_version(
    connection: Connection,
    dataset: str,
    *,
    at: str,
    version: str = "",
    project: str = DEFAULT_PROJECT,
) -> datasets_pb2.DatasetVersion:
    """Give a commit a version: ``v1.2.3``, greater than every one so far, or the next.

    Raises:
        FailedPrecondition: reason VERSION_NOT_GREATER.
        AlreadyExists: reason COMMIT_HAS_VERSION.
    """
    parent = references.dataset(dataset, project)
    request = datasets_pb2.CreateDatasetVersionRequest(
        parent=str(parent), commit=_at(connection, parent, at), version=version, request_id=str(uuid.uuid4())
    )
    return stub(connection).CreateDatasetVersion(request)


def describe_version(
    connection: Connection,
    reference: str,
    *,
    description: str | None = None,
    provenance: definitions_pb2.DataProvenance | None = None,
    declared_statistics: definitions_pb2.DeclaredStatistics | None = None,
    project: str = DEFAULT_PROJECT,
) -> datasets_pb2.DatasetVersion:
    """Change what is said about a version; what is None stays as it is."""
    changes = {
        "description": description,
        "provenance": provenance,
        "declared_statistics": declared_statistics,
    }
    given = {field: value for field, value in changes.items() if value is not None}
    wanted = datasets_pb2.DatasetVersion(name=resolve_version(connection, reference, project=project))
    for field, value in given.items():
        if isinstance(value, str):
            setattr(wanted, field, value)
        else:
            getattr(wanted, field).CopyFrom(value)
    request = datasets_pb2.UpdateDatasetVersionRequest(dataset_version=wanted)
    request.update_mask.paths.extend(given)
    return stub(connection).UpdateDatasetVersion(request)


def deprecate(
    connection: Connection, reference: str, message: str, *, project: str = DEFAULT_PROJECT
) -> datasets_pb2.DatasetVersion:
    """Say that a version should not be used any more, and what to use instead: who uses it is warned."""
    name = resolve_version(connection, reference, project=project)
    request = datasets_pb2.DeprecateDatasetVersionRequest(name=name, message=message)
    return stub(connection).DeprecateDatasetVersion(request)


def archive(
    connection: Connection, reference: str, message: str, *, project: str = DEFAULT_PROJECT
) -> datasets_pb2.DatasetVersion:
    """Take a version out of use: reading it, and starting work on it, is refused."""
    name = resolve_version(connection, reference, project=project)
    request = datasets_pb2.ArchiveDatasetVersionRequest(name=name, message=message)
    return stub(connection).ArchiveDatasetVersion(request)


def reactivate(
    connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT
) -> datasets_pb2.DatasetVersion:
    """Put a deprecated or archived version back into use."""
    name = resolve_version(connection, reference, project=project)
    return stub(connection).ReactivateDatasetVersion(datasets_pb2.ReactivateDatasetVersionRequest(name=name))


def _commit(connection: Connection, reference: str, project: str) -> str:
    """The resource name that ``reference`` stands for; of a dataset, its branch ``main``."""
    name = references.dataset_revision(reference, project)
    if isinstance(name, DatasetName):
        return f"{name}/branches/{MAIN}"
    return commit_of(connection, name).name if isinstance(name, references.BranchOrTag) else str(name)


def _at(connection: Connection, dataset: DatasetName, at: str) -> str:
    """The resource name that ``at`` stands for within a dataset."""
    return _commit(connection, at if "/" in at else f"{dataset.dataset}@{at}", dataset.project)


def _dataset_of(name: str) -> DatasetName:
    return DatasetName.parse("/".join(name.split("/")[:4]))
