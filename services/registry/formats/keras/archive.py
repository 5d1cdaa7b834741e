"""Reads Keras's own archives, ``.keras``: a zip of ``config.json``, ``metadata.json`` and weights in HDF5.

Weights lie in it uncompressed, so that a tensor can be fetched out of the archive by range.
"""

import json
from typing import Any

from services.registry.formats.archives import strays, zip_directory, zips
from services.registry.formats.archives.zips import Zip
from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import MAX_TENSORS, FileFacts, InvalidModelFile, Tensor
from services.registry.formats.keras import config
from services.registry.formats.keras.h5 import read_hdf5
from services.registry.formats.keras.model import described, invalid
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.texts import storable

_CONFIGURATION, _METADATA = "config.json", "metadata.json"
_MAX_METADATA_BYTES = 2**20
_MAX_UNPACKED_BYTES = 64 * 2**20
_MAX_WEIGHT_FILES = 1000


def fits(content: Content) -> bool:
    """Whether it is a zip with a configuration and metadata."""
    if not zips.begins_like_it(content):
        return False
    try:
        names = set(zip_directory.raw_names(content))
    except InvalidModelFile:
        return False
    return {_CONFIGURATION.encode(), _METADATA.encode()} <= names


def read(content: Content) -> FileFacts:
    """What the model says.

    Raises:
        InvalidModelFile: the zip, the configuration or a file of weights is invalid.
    """
    archive = zips.open_zip(content)
    metadata = _metadata(archive)
    tensors: list[Tensor] = []
    problems: list[str] = []
    budget = Budget()
    weights = [name for name in archive.members if name.endswith(".h5")]
    if len(weights) > _MAX_WEIGHT_FILES:
        raise invalid(f"it has {len(weights)} files of weights, more than the {_MAX_WEIGHT_FILES} that are read")
    for name in weights:
        _note_weights(archive, name, tensors, problems, budget)
    others = [name for name in archive.members if name not in (_CONFIGURATION, _METADATA, *weights)]
    problems += strays.look(archive, others, budget).problems
    version, saved = storable(metadata.get("keras_version")), storable(metadata.get("date_saved"))
    return described(
        [archive.read(_CONFIGURATION, config.MAX_BYTES)],
        tensors,
        problems,
        version,
        {"date_saved": saved} if saved else {},
    )


def _metadata(archive: Zip) -> dict[str, Any]:
    try:
        metadata = json.loads(archive.read(_METADATA, _MAX_METADATA_BYTES))
    except (ValueError, RecursionError) as error:
        raise invalid("its metadata are not JSON") from error
    if not isinstance(metadata, dict):
        raise invalid("its metadata are no object")
    return metadata


def _note_weights(archive: Zip, name: str, tensors: list[Tensor], problems: list[str], budget: Budget) -> None:
    member = archive.members[name]
    if not member.compressed:
        file = read_hdf5(archive.part(name))
        placed = [each if each.begin < 0 else _moved(each, member.begin) for each in file.tensors]
    elif member.size <= min(_MAX_UNPACKED_BYTES, budget.unpacked):
        budget.unpacked -= member.size
        file = read_hdf5(MemoryContent(archive.read(name, _MAX_UNPACKED_BYTES)))
        placed = [each._replace(begin=-1, end=-1) for each in file.tensors]
    else:
        problems.append(f"{name} is compressed, and too large to be looked at, or after too many others")
        return
    tensors += placed
    problems += [f"{name}: {problem}" for problem in file.problems]
    if len(tensors) > MAX_TENSORS:
        raise invalid(f"it has more than {MAX_TENSORS} tensors")


def _moved(tensor: Tensor, begin: int) -> Tensor:
    return tensor._replace(begin=tensor.begin + begin, end=tensor.end + begin)
