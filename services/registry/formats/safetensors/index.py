"""Reads the index of a model whose tensors are in several safetensors files: ``model.safetensors.index.json``.

{"metadata": {"total_size": 28966928384}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors", ...}}
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from services.registry.formats.content import Content
from services.registry.formats.facts import MAX_TENSORS, ExternalData, FileFacts, Format, InvalidModelFile
from services.registry.formats.json_text import JsonReader, NotJson
from services.registry.formats.safetensors.entries import MAX_NAME, UNSTORABLE

_MAX_BYTES = 64 * 2**20
_MAX_PROPERTY = 4096
_MAX_PROPERTIES = 200
_BEGINNING_BYTES = 16_384
# PyTorch's own files can have an index that differs in nothing but the names of the files.
_BEGINNING = re.compile(
    rb'\s*\{\s*("metadata"\s*:\s*\{[^{}]*\}\s*,\s*)?"weight_map"\s*:\s*\{\s*"[^"]*"\s*:\s*"[^"]*\.safetensors"'
)
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)


def fits(content: Content) -> bool:
    """Whether it begins like an index."""
    return _BEGINNING.match(content.read(0, min(content.size, _BEGINNING_BYTES))) is not None


def read(content: Content) -> FileFacts:
    """Which file each tensor is in (``tensor_files``), and the files (``external``); its own tensors are none.

    Raises:
        InvalidModelFile: it is broken, names a tensor twice, or names a file that is not beside it.
    """
    properties: dict[str, str] = {}
    files: dict[str, str] = {}
    reader = JsonReader(content, _MAX_BYTES)
    try:
        for member in reader.members():
            if member == "metadata":
                properties = _properties(reader)
            elif member == "weight_map":
                files = _weight_map(reader)
    except NotJson as error:
        raise _invalid(str(error)) from error
    external = [ExternalData(file, 0) for file in sorted(set(files.values()))]
    return FileFacts(
        Format.SAFETENSORS_INDEX, properties=properties, external=external, tensor_files=dict(sorted(files.items()))
    )


def check_index(path: str, index: FileFacts, facts: Mapping[str, FileFacts]) -> str:
    """What does not fit between the index at ``path`` and the files it names, as a sentence; empty if all fits.

    Every tensor must be in the file that the index names, and in no other: a loader that goes by the index would take
    another one than a loader that opens file after file.
    """
    wanted: dict[str, set[str]] = {}
    for tensor, file in index.tensor_files.items():
        wanted.setdefault(str(PurePosixPath(path).parent / file), set()).add(tensor)
    for file, tensors in sorted(wanted.items()):
        told = facts.get(file)
        if told is None or told.format is not Format.SAFETENSORS:
            return f"{path} names {file}, which is no safetensors file of the version."
        there = {tensor.name for tensor in told.tensors}
        if missing := tensors - there:
            return f"{path} says that {min(missing)[:64]!r} is in {file}; it is not."
        if twice := (there - tensors) & index.tensor_files.keys():
            return f"{file} holds {min(twice)[:64]!r}, which by {path} is in another file."
    return ""


def _weight_map(reader: JsonReader) -> dict[str, str]:
    files: dict[str, str] = {}
    shards: dict[str, str] = {}
    for tensor in reader.members():
        file = reader.value()
        if tensor in files:
            raise _invalid(f"{tensor[:64]!r} is there twice")
        if len(tensor) > MAX_NAME or UNSTORABLE.search(tensor):
            raise _invalid(f"a tensor's name may have at most {MAX_NAME} characters, and no NUL or half a character")
        if not isinstance(file, str) or not _SHARD.fullmatch(file):
            raise _invalid(f"tensor {tensor[:64]!r} would be in {str(file)[:64]!r}, which is no file beside the index")
        files[tensor] = shards.setdefault(file, file)
        if len(files) > MAX_TENSORS:
            raise _invalid(f"it has more than {MAX_TENSORS} tensors")
    return files


def _properties(reader: JsonReader) -> dict[str, str]:
    properties: dict[str, str] = {}
    for key in reader.members():
        text = str(reader.value())
        if len(properties) < _MAX_PROPERTIES and not UNSTORABLE.search(key + text):
            properties[key[:255]] = text[:_MAX_PROPERTY]
    return properties


def _invalid(what: str) -> InvalidModelFile:
    return InvalidModelFile(f"Not a valid index of safetensors: {what}.", format="safetensors index")
