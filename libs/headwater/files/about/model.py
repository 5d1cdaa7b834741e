"""What a folder says about the rows in it, whichever document says it."""

import dataclasses
from collections.abc import Mapping

from headwater.errors import InvalidArgument

MAX_DOCUMENT_BYTES = 1 << 20


class DocumentInvalid(InvalidArgument):
    """A metadata.json or dataset.yml is malformed, has an unknown field, or contradicts itself or the rows."""

    reason = "DATASET_DOCUMENT_INVALID"
    text = "What is said about the dataset is malformed."


@dataclasses.dataclass(frozen=True, slots=True)
class DeclaredSplit:
    """What is said about one split."""

    name: str
    """The split as it is stored: ``validation``, also where the document says ``val``."""
    written_name: str
    file: str
    """The file that holds it, beside the document; empty when nothing is said."""
    samples: int | None
    size_bytes: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """What is said about a version. Empty: nothing is said."""

    document: str
    """The document's name, for errors and messages."""
    dataset: str = ""
    version: str = ""
    """``v1.2.3``."""
    description: str = ""
    message: str = ""
    """Why the version was made, and what the document says that is the server's to say of our version."""
    source: str = ""
    citation: str = ""
    license: str = ""
    image_size: tuple[int, ...] = ()
    num_classes: int = 0
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_hidden: bool | None = None
    state: str = ""
    """``active``, ``deprecated`` or ``archived``."""
    splits: tuple[DeclaredSplit, ...] = ()
    samples: int | None = None
    """In all splits."""

    def check_dataset(self, dataset: str) -> None:
        """Raise DocumentInvalid when it speaks of another dataset."""
        if self.dataset and self.dataset != dataset:
            raise DocumentInvalid(f"{self.document} is about {self.dataset} and not about {dataset}.")

    def check_rows(self, rows: Mapping[str, tuple[int, int]], files: Mapping[str, int]) -> None:
        """Compare with the rows that were read.

        Args:
            rows: by split, how many there are, and the bytes of their canonical encoding.
            files: by split, the bytes of the files that they were read from.

        Raises:
            DocumentInvalid: naming what differs.
        """
        for split in self.splits:
            count, size_bytes = rows[split.name]
            if split.samples not in (None, count):
                self._differs(f"samples of {split.written_name}", split.samples, count)
            if split.size_bytes not in (None, size_bytes, files.get(split.name, size_bytes)):
                self._differs(f"size_bytes of {split.written_name}", split.size_bytes, files[split.name])
        total = sum(count for count, _ in rows.values())
        if self.samples not in (None, total):
            self._differs("samples", self.samples, total)

    def check_splits(self, splits: Mapping[str, object]) -> None:
        """Raise DocumentInvalid unless the splits that it speaks of are those that are there."""
        declared = {split.name for split in self.splits}
        for name in sorted(declared ^ splits.keys()) if declared else ():
            where = "but there are no rows of it" if name in declared else "but there are rows of it"
            said = "speaks of" if name in declared else "does not speak of"
            raise DocumentInvalid(f"{self.document} {said} the split {name}, {where}.", split=name)

    def _differs(self, what: str, said: object, found: object) -> None:
        raise DocumentInvalid(f"{self.document} says that {what} is {said}; it is {found}.", field=what)


@dataclasses.dataclass(frozen=True, slots=True)
class StoredSplit:
    """One split of a version, to be described."""

    name: str
    samples: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Described:
    """A stored version, to be written down."""

    dataset: str
    uid: str
    version: str
    description: str
    author: str
    created_at: str
    """RFC 3339, UTC."""
    message: str
    source: str
    citation: str
    license: str
    image_size: tuple[int, ...]
    num_classes: int
    tags: Mapping[str, str]
    is_hidden: bool
    state: str
    splits: tuple[StoredSplit, ...]
    profile: str
    """The resource name of its newest profile; empty when there is none."""
