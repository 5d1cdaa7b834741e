"""Documents that say what a dataset version is: metadata.json and dataset.yml."""

from collections.abc import Sequence

from headwater.files.about import dataset_yml, metadata_json
from headwater.files.about.model import (
    MAX_DOCUMENT_BYTES,
    About,
    DeclaredSplit,
    Described,
    DocumentInvalid,
    StoredSplit,
)
from headwater.files.manifest import Manifest
from headwater.files.walk import Found

DOCUMENTS = (metadata_json.NAME, *dataset_yml.NAMES)
"""What the documents are called; they stand beside the rows, in the folder that is pushed."""


def is_document(file: Found, among: Sequence[Found]) -> bool:
    """Whether the file says something about the others, and is not rows itself."""
    return file.name in DOCUMENTS and len(among) > 1


def read(files: Sequence[Found], manifest: Manifest) -> About | None:
    """What the documents among the files say; None when there are none.

    Raises:
        DocumentInvalid: there are two, or what one says is malformed.
    """
    documents = [file for file in files if is_document(file, files)]
    if len(documents) > 1:
        names = " and ".join(file.name for file in documents)
        raise DocumentInvalid(f"There are {names}; only one of them can say what the dataset is.")
    if not documents:
        return None
    (file,) = documents
    if file.size_bytes > MAX_DOCUMENT_BYTES:
        raise DocumentInvalid(f"{file.location} has {file.size_bytes} bytes; at most {MAX_DOCUMENT_BYTES}.")
    content = manifest.read(file)
    return metadata_json.parse(content) if file.name == metadata_json.NAME else dataset_yml.parse(content, file.name)


__all__ = [
    "DOCUMENTS",
    "About",
    "DeclaredSplit",
    "Described",
    "DocumentInvalid",
    "StoredSplit",
    "dataset_yml",
    "is_document",
    "metadata_json",
    "read",
]
