"""A Hugging Face dataset that was saved with ``save_to_disk``: its Arrow files, its splits, and what its features say.

Nothing of it is imported or unpickled: the files are Arrow streams beside three JSON documents. What ``Features`` says
beyond Arrow's types is kept as metadata of the columns: ``class_names`` of a ClassLabel, as a JSON list, and the
feature itself under ``huggingface_feature``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from headwater.files.errors import SourceMalformed
from headwater.files.manifest import reading
from headwater.files.walk import Found

CLASS_NAMES = b"class_names"
FEATURE = b"huggingface_feature"
_MAX_DOCUMENT_BYTES = 16 << 20
_INFO, _STATE, _DICT = "dataset_info.json", "state.json", "dataset_dict.json"


def is_saved(files: Sequence[Found]) -> bool:
    """Whether these are the files of such a folder."""
    names = {file.name for file in files}
    return _DICT in names or {_INFO, _STATE} <= names


def has_splits(files: Sequence[Found]) -> bool:
    """Whether it is a DatasetDict, with a folder for each split."""
    return any(file.name == _DICT for file in files)


def data_files(files: Sequence[Found]) -> list[Found]:
    """The files that hold rows, in order.

    Raises:
        SourceMalformed: a file is missing, unknown or says what cannot be followed.
    """
    by_name = {file.name: file for file in files}
    if _DICT not in by_name:
        return _data_of("", by_name)
    splits = _strings(_document(by_name[_DICT]).get("splits"), by_name[_DICT], "splits")
    return [file for split in splits for file in _data_of(f"{_plain(split, by_name[_DICT])}/", by_name)]


def annotated(schema: pa.Schema, files: Sequence[Found]) -> pa.Schema:
    """The schema with what the features say of the columns."""
    infos = [file for file in files if file.name.rpartition("/")[2] == _INFO]
    told = [_document(info).get("features") or {} for info in infos]
    for info, features in zip(infos, told, strict=True):
        if not isinstance(features, dict):
            raise _malformed(info, "its features are no object")
        if features != told[0]:
            raise _malformed(info, "its features are not those of the other splits")
    info, features = infos[0], told[0]
    return pa.schema([_annotated(field, features.get(field.name), info) for field in schema])


def _annotated(field: pa.Field, feature: Any, info: Found) -> pa.Field:
    if feature is None:
        return field
    said = {FEATURE: json.dumps(feature, sort_keys=True).encode()}
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names") is not None:
        said[CLASS_NAMES] = json.dumps(_strings(feature["names"], info, f"the names of {field.name}")).encode()
    return field.with_metadata(said)


def _data_of(folder: str, by_name: Mapping[str, Found]) -> list[Found]:
    state = by_name.get(folder + _STATE)
    if state is None or folder + _INFO not in by_name:
        raise SourceMalformed(f"There is no {folder}{_STATE} or no {folder}{_INFO}.", path=folder + _STATE)
    document = _document(state)
    listed = document.get("_data_files")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise _malformed(state, "it has no list _data_files")
    if document.get("_indices_data_files"):
        raise _malformed(state, "it has _indices_data_files, which only older versions wrote; save it again")
    names = _strings([entry.get("filename") for entry in listed], state, "_data_files")
    missing = [name for name in names if folder + _plain(name, state) not in by_name]
    if missing:
        raise _malformed(state, f"it names {missing[0]}, which is not there")
    return [by_name[folder + name] for name in names]


def _document(file: Found) -> dict[str, Any]:
    if file.size_bytes > _MAX_DOCUMENT_BYTES:
        raise _malformed(file, f"it has {file.size_bytes} bytes")
    try:
        with reading(file):
            document = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise _malformed(file, f"it is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise _malformed(file, "it is no JSON object")
    return document


def _strings(values: Any, file: Found, what: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _malformed(file, f"{what} must be a list of texts")
    return values


def _plain(name: str, file: Found) -> str:
    if "/" in name or name.startswith("."):
        raise _malformed(file, f"{name[:200]!r} is no name of something beside it")
    return name


def _malformed(file: Found, why: str) -> SourceMalformed:
    return SourceMalformed(f"{file.location}: {why}.", path=file.location)
