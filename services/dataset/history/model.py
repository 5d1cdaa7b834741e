"""Commits and the names that lead to them: versions, branches and tags."""

import dataclasses
import datetime
import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from headwater.names import BranchName, CommitName, DatasetName, DatasetVersionName, TagName
from headwater.tree import digest_text
from services.dataset.history.definition import Definition
from services.dataset.history.errors import TransitionNotAllowed
from services.dataset.model import SemVer, Split

COMMIT_FORMAT = "headwater.commit/1"
MAIN = "main"
"""The branch that is there from the first commit on, whose commits become versions."""


class VersionState(enum.Enum):
    """Whether a version may be used."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    """May be used, with a warning."""
    ARCHIVED = "archived"
    """May not be used."""


ALLOWED: Mapping[VersionState, frozenset[VersionState]] = {
    VersionState.ACTIVE: frozenset({VersionState.DEPRECATED, VersionState.ARCHIVED}),
    VersionState.DEPRECATED: frozenset({VersionState.ACTIVE, VersionState.ARCHIVED}),
    VersionState.ARCHIVED: frozenset({VersionState.ACTIVE}),
}
"""From which state a version may come into which. Nothing is ever deleted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """The version that names a commit, as far as users of the commit need to know it."""

    version: SemVer
    state: VersionState
    state_message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """What a commit will say, but for its parents and its time."""

    dataset: DatasetName
    digest: bytes
    """The content digest; empty when the definition is a place and no rows are stored."""
    splits: tuple[Split, ...]
    message: str
    author: str
    definition: Definition | None = None
    """None: rows that were pushed."""
    derived_from: tuple[str, ...] = ()
    source_file_count: int = 0
    source_digest: bytes = b""
    """Empty when no files were named."""
    upload_uid: str = ""
    """The upload that it is made of, under which its source files are kept; empty for merges and places."""


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """Immutable rows, or the place that they are in, and how they came about. ``splits`` are ordered by name."""

    id: bytes
    dataset: DatasetName
    parents: tuple[bytes, ...]
    digest: bytes
    """See Draft."""
    splits: tuple[Split, ...]
    definition: Definition | None
    message: str
    author: str
    derived_from: tuple[str, ...]
    source_file_count: int
    source_digest: bytes
    upload_uid: str
    create_time: datetime.datetime
    number: int = dataclasses.field(default=0, compare=False)
    """Grows from commit to commit, so that each has a greater one than its ancestors; the store's to give."""
    named: Named | None = dataclasses.field(default=None, compare=False)
    """The version that names it, as of when it was read."""

    @property
    def name(self) -> CommitName:
        """Its resource name."""
        return CommitName(self.dataset.project, self.dataset.dataset, self.id.hex())

    @property
    def row_count(self) -> int:
        """Rows in all splits."""
        return sum(split.tree.row_count for split in self.splits)

    @property
    def size_bytes(self) -> int:
        """Bytes of all rows in their canonical encoding."""
        return sum(split.tree.size_bytes for split in self.splits)

    @property
    def arrow_schema(self) -> bytes:
        """The schema of the first split, whose columns the others have too; empty when no rows are stored."""
        return self.splits[0].arrow_schema if self.splits else b""


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A commit as a part of the graph."""

    id: bytes
    number: int
    parents: tuple[bytes, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Provenance:
    """Where the data of a version comes from."""

    source: str = ""
    citation: str = ""
    license: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class DeclaredStatistics:
    """What its makers say about the rows of a version."""

    image_size: tuple[int, ...] = ()
    """Width, height and perhaps channels."""
    num_classes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """What is said about a version; none of it is part of the commit."""

    description: str = ""
    provenance: Provenance = dataclasses.field(default_factory=Provenance)
    statistics: DeclaredStatistics = dataclasses.field(default_factory=DeclaredStatistics)


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """A commit that has a semantic version."""

    uid: str
    commit: Commit
    version: SemVer
    parent: SemVer | None
    """The greatest version when this one was given out."""
    about: About = dataclasses.field(default_factory=About)
    state: VersionState = VersionState.ACTIVE
    state_message: str = ""
    revision: int = 1
    """Grows with every change of what is said about it."""

    @property
    def dataset(self) -> DatasetName:
        """Whose version it is."""
        return self.commit.dataset

    @property
    def name(self) -> DatasetVersionName:
        """Its resource name."""
        return DatasetVersionName(self.dataset.project, self.dataset.dataset, str(self.version))

    @property
    def digest(self) -> bytes:
        """The content digest."""
        return self.commit.digest

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits, ordered by name."""
        return self.commit.splits


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """A line of commits that moves on with each."""

    name: BranchName
    head: bytes
    revision: int
    created_by: str
    create_time: datetime.datetime
    update_time: datetime.datetime

    @property
    def commit(self) -> CommitName:
        """Its newest commit."""
        return CommitName(self.name.project, self.name.dataset, self.head.hex())


@dataclasses.dataclass(frozen=True, slots=True)
class Tag:
    """A name of a commit that does not move."""

    name: TagName
    target: bytes
    message: str
    created_by: str
    create_time: datetime.datetime

    @property
    def commit(self) -> CommitName:
        """The commit."""
        return CommitName(self.name.project, self.name.dataset, self.target.hex())


def check_transition(version: Version, state: VersionState) -> None:
    """Go on if the version may come into that state, or TransitionNotAllowed."""
    if state not in ALLOWED[version.state]:
        raise TransitionNotAllowed(version=version.name, state=version.state.value, wanted=state.value)


def commit_of(draft: Draft, dataset_uid: str, parents: Sequence[bytes], time: datetime.datetime) -> Commit:
    """The commit that the draft is with these parents at this time."""
    facts = {field.name: getattr(draft, field.name) for field in dataclasses.fields(draft)}
    definition = draft.definition.document() if draft.definition is not None else None
    id_ = commit_id(
        dataset_uid=dataset_uid,
        digest=draft.digest,
        definition=definition,
        source_digest=draft.source_digest,
        parents=parents,
        author=draft.author,
        message=draft.message,
        derived_from=draft.derived_from,
        create_time=time,
    )
    return Commit(id=id_, parents=tuple(parents), create_time=time, **facts)


def commit_id(
    *,
    dataset_uid: str,
    digest: bytes,
    definition: Mapping[str, Any] | None,
    source_digest: bytes,
    parents: Sequence[bytes],
    author: str,
    message: str,
    derived_from: Sequence[str],
    create_time: datetime.datetime,
) -> bytes:
    """The commit's id as README.md specifies it: SHA-256 over its canonical JSON (RFC 8785)."""
    document = {
        "author": author,
        "create_time": create_time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "dataset": dataset_uid,
        "definition": definition,
        "derived_from": list(derived_from),
        "digest": digest_text(digest) if digest else "",
        "format": COMMIT_FORMAT,
        "message": message,
        "parents": [parent.hex() for parent in parents],
        "source_digest": digest_text(source_digest) if source_digest else "",
    }
    # Nothing in it but objects with ASCII keys, arrays, null and strings: for these, this is RFC 8785 to the byte.
    return hashlib.sha256(
        json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    ).digest()
