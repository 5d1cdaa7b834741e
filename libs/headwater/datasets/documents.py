"""metadata.json and dataset.yml: what a pushed folder says is kept, and what is stored is written down again."""

import warnings
from collections.abc import Mapping
from typing import Any

from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, views_pb2, views_pb2_grpc
from headwater.datasets import catalog, history
from headwater.errors import InvalidArgument, Unimplemented
from headwater.files.about import About, Described, StoredSplit, dataset_yml, metadata_json
from headwater.names import DEFAULT_PROJECT, DatasetName

_STATE = datasets_pb2.DatasetVersion.State
_STATES = {_STATE.STATE_ACTIVE: "active", _STATE.STATE_DEPRECATED: "deprecated", _STATE.STATE_ARCHIVED: "archived"}
FORMATS = {metadata_json.NAME: metadata_json.text, dataset_yml.NAMES[0]: dataset_yml.text}
"""The documents, by their names."""


def document(connection: Connection, reference: str, name: str, *, project: str = DEFAULT_PROJECT) -> str:
    """A version's ``metadata.json`` or ``dataset.yml``, which a push of its rows would read.

    Raises:
        InvalidArgument: another document.
        NotFound: there is no such version.
        YamlMissing
    """
    if name not in FORMATS:
        raise InvalidArgument(f"{name} is not one of {', '.join(FORMATS)}.", field="format")
    return FORMATS[name](described(connection, reference, project=project))


def described(connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT) -> Described:
    """All that such documents say of a version."""
    version = catalog.get_version(connection, reference, project=project)
    dataset = catalog.get(connection, version.name.partition("/versions/")[0])
    return Described(
        dataset=DatasetName.parse(dataset.name).dataset,
        uid=dataset.uid,
        version=version.name.rpartition("/")[2],
        description=version.description or dataset.description,
        author=version.author,
        created_at=version.create_time.ToJsonString(),
        message=version.message,
        source=version.provenance.source,
        citation=version.provenance.citation,
        license=version.provenance.license,
        image_size=tuple(version.declared_statistics.image_size),
        num_classes=version.declared_statistics.num_classes,
        tags=dict(dataset.tags),
        is_hidden=dataset.hidden,
        state=_STATES[version.state],
        splits=tuple(StoredSplit(split.name, split.row_count, split.size_bytes) for split in version.splits),
        profile=_newest_profile(connection, version.name),
    )


def commit_fields(about: About, dataset: DatasetName, version: str, message: str) -> dict[str, Any]:
    """What a document makes of a CommitUploadRequest.

    Raises:
        DocumentInvalid: it is about another dataset.
        InvalidArgument: another version was asked for.
    """
    about.check_dataset(dataset.dataset)
    if version and about.version and version != about.version:
        raise InvalidArgument(f"{about.document} is about {about.version} and not about {version}.", field="version")
    return {
        "version": version or about.version,
        "message": message or about.message,
        "description": about.description,
        "provenance": _provenance(about),
        "declared_statistics": _statistics(about),
    }


def check_upload(about: About, upload: datasets_pb2.Upload, file_bytes: Mapping[str, int]) -> None:
    """Compare a document with the rows that were put.

    Raises:
        DocumentInvalid: naming what differs.
    """
    rows = {split.name: (split.row_count, split.size_bytes) for split in upload.splits}
    about.check_splits(rows)
    about.check_rows(rows, file_bytes)


class StateNotChanged(UserWarning):
    """A document says another state than that of a version which was there before."""


def keep(connection: Connection, about: About, committed: datasets_pb2.CommitUploadResponse) -> None:
    """Keep what a document says beside the commit: tags, what was there but is said anew, and the version's state."""
    version = committed.dataset_version
    dataset = version.name.partition("/versions/")[0]
    if about.tags or about.is_hidden is not None:
        catalog.update(connection, dataset, tags=about.tags or None, hidden=about.is_hidden)
    if not committed.created:
        history.describe_version(
            connection,
            version.name,
            description=about.description or None,
            provenance=_provenance(about),
            declared_statistics=_statistics(about),
        )
    if about.state and about.state != _STATES[version.state]:
        if not committed.created:
            # Somebody may have put it in or out of use since the document was written.
            told = (
                f"{version.name} is {_STATES[version.state]} and stays so, though {about.document} says {about.state}."
            )
            warnings.warn(told, StateNotChanged, stacklevel=2)
            return
        said = f"As its {about.document} says."
        if about.state == "active":
            history.reactivate(connection, version.name)
        elif about.state == "deprecated":
            history.deprecate(connection, version.name, said)
        else:
            history.archive(connection, version.name, said)


def _provenance(about: About) -> definitions_pb2.DataProvenance | None:
    if not (about.source or about.citation or about.license):
        return None
    return definitions_pb2.DataProvenance(source=about.source, citation=about.citation, license=about.license)


def _statistics(about: About) -> definitions_pb2.DeclaredStatistics | None:
    if not (about.image_size or about.num_classes):
        return None
    return definitions_pb2.DeclaredStatistics(image_size=about.image_size, num_classes=about.num_classes)


def _newest_profile(connection: Connection, version: str) -> str:
    request = views_pb2.ListProfilesRequest(parent=version, page_size=1)
    try:
        page = views_pb2_grpc.DatasetViewServiceStub(connection.channel("dataset")).ListProfiles(request)
    except Unimplemented:
        return ""  # a server that is older than profiles has none
    return page.profiles[0].name if page.profiles else ""
