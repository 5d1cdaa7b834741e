"""Between the history's protos and values; pure."""

from collections.abc import Sequence
from typing import Any

from chassis.etags import etag_of
from chassis.update_masks import masked
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, history_pb2
from headwater.names import CommitName
from headwater.tree import digest_text
from services.dataset.convert import split_to_proto, timestamp
from services.dataset.history.append import Appended
from services.dataset.history.definition import Dataflow, DataPath, Definition
from services.dataset.history.model import (
    About,
    Branch,
    Commit,
    DeclaredStatistics,
    Provenance,
    Tag,
    Version,
    VersionState,
)

_STATES = {
    VersionState.ACTIVE: datasets_pb2.DatasetVersion.STATE_ACTIVE,
    VersionState.DEPRECATED: datasets_pb2.DatasetVersion.STATE_DEPRECATED,
    VersionState.ARCHIVED: datasets_pb2.DatasetVersion.STATE_ARCHIVED,
}


def commit_to_proto(commit: Commit) -> history_pb2.Commit:
    """A commit."""
    project, dataset = commit.dataset.project, commit.dataset.dataset
    return history_pb2.Commit(
        name=str(commit.name),
        digest=_digest(commit.digest),
        parents=[str(CommitName(project, dataset, parent.hex())) for parent in commit.parents],
        author=commit.author,
        message=commit.message,
        create_time=timestamp(commit.create_time),
        arrow_schema=commit.arrow_schema,
        splits=[split_to_proto(split) for split in commit.splits],
        definition=definition_to_proto(commit.definition),
        version=str(commit.named.version) if commit.named else "",
        derived_from=commit.derived_from,
    )


def version_to_proto(version: Version) -> datasets_pb2.DatasetVersion:
    """A version."""
    commit = version.commit
    return datasets_pb2.DatasetVersion(
        name=str(version.name),
        uid=version.uid,
        digest=_digest(commit.digest),
        arrow_schema=commit.arrow_schema,
        splits=[split_to_proto(split) for split in commit.splits],
        row_count=commit.row_count,
        size_bytes=commit.size_bytes,
        parent_version=str(version.parent or ""),
        message=commit.message,
        author=commit.author,
        create_time=timestamp(commit.create_time),
        derived_from=commit.derived_from,
        source_file_count=commit.source_file_count,
        source_digest=_digest(commit.source_digest),
        commit=str(commit.name),
        state=_STATES[version.state],
        state_message=version.state_message,
        definition=definition_to_proto(commit.definition),
        description=version.about.description,
        provenance=_provenance_to_proto(version.about.provenance),
        declared_statistics=_statistics_to_proto(version.about.statistics),
        etag=etag_of(version.revision),
    )


def appended_to_proto(appended: Appended) -> datasets_pb2.CommitUploadResponse:
    """The commit that was made or found."""
    return datasets_pb2.CommitUploadResponse(
        dataset_version=version_to_proto(appended.version) if appended.version else None,
        created=appended.created,
        commit=commit_to_proto(appended.commit),
    )


def branch_to_proto(branch: Branch) -> history_pb2.Branch:
    """A branch."""
    return history_pb2.Branch(
        name=str(branch.name),
        commit=str(branch.commit),
        etag=etag_of(branch.revision),
        create_time=timestamp(branch.create_time),
        update_time=timestamp(branch.update_time),
        created_by=branch.created_by,
    )


def tag_to_proto(tag: Tag) -> history_pb2.Tag:
    """A tag."""
    return history_pb2.Tag(
        name=str(tag.name),
        commit=str(tag.commit),
        message=tag.message,
        create_time=timestamp(tag.create_time),
        created_by=tag.created_by,
    )


def definition_to_proto(definition: Definition | None) -> definitions_pb2.Definition:
    """What the rows are; nothing is set for rows that were pushed."""
    if isinstance(definition, DataPath):
        path = definitions_pb2.DataPath(datastore=definition.datastore, split_by=definition.split_by)
        setattr(path, definition.kind.value, definition.path)
        return definitions_pb2.Definition(data_path=path)
    if isinstance(definition, Dataflow):
        dataflow = definitions_pb2.Dataflow(spec_json=definition.spec_json, inputs=definition.inputs)
        return definitions_pb2.Definition(dataflow=dataflow)
    return definitions_pb2.Definition()


def about_from_proto(
    message: datasets_pb2.CommitUploadRequest | datasets_pb2.DatasetVersion,
) -> About:
    """What is said about a version."""
    provenance, statistics = message.provenance, message.declared_statistics
    return About(
        message.description,
        Provenance(provenance.source, provenance.citation, provenance.license),
        DeclaredStatistics(tuple(statistics.image_size), statistics.num_classes),
    )


def about_changes(message: datasets_pb2.DatasetVersion, paths: Sequence[str]) -> dict[str, Any]:
    """The fields of About that an update is about, with the values that they are to have.

    Raises:
        InvalidUpdateMask
    """
    about = about_from_proto(message)
    given = {
        "description": ("description", about.description),
        "provenance": ("provenance", about.provenance),
        "declared_statistics": ("statistics", about.statistics),
    }
    return dict(given[path] for path in masked(message, paths, given))


def _provenance_to_proto(provenance: Provenance) -> definitions_pb2.DataProvenance | None:
    if provenance == Provenance():
        return None
    return definitions_pb2.DataProvenance(
        source=provenance.source, citation=provenance.citation, license=provenance.license
    )


def _statistics_to_proto(statistics: DeclaredStatistics) -> definitions_pb2.DeclaredStatistics | None:
    if statistics == DeclaredStatistics():
        return None
    return definitions_pb2.DeclaredStatistics(image_size=statistics.image_size, num_classes=statistics.num_classes)


def _digest(digest: bytes) -> str:
    return digest_text(digest) if digest else ""
