"""Reads HDF5 files: Keras models of the older form, whose configuration is an attribute, and weights of any kind."""

import itertools
from collections.abc import Iterator, Sequence

from services.registry.formats import pickles
from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import FileFacts, Format, InvalidModelFile
from services.registry.formats.hdf5.file import Hdf5, begins_like_it, read_file
from services.registry.formats.hdf5.source import BadHdf5
from services.registry.formats.keras.model import described, invalid, of_model, of_optimizer
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.texts import storable

_MAX_PICKLED = 100
_CONFIGURATION, _TRAINING, _VERSION, _BACKEND = "model_config", "training_config", "keras_version", "backend"


def fits(content: Content) -> bool:
    """Whether the content begins as HDF5 does."""
    return begins_like_it(content)


def read(content: Content) -> FileFacts:
    """What the model says, or which datasets there are.

    Raises:
        InvalidModelFile
    """
    file = read_hdf5(content)
    root = file.attributes.get("", {})
    properties = {key: _one(root.get(key)) for key in (_BACKEND,) if _one(root.get(key))}
    version = _one(root.get(_VERSION))
    if _CONFIGURATION not in root:
        properties |= {_VERSION: version} if version else {}
        properties |= of_optimizer(file.tensors)
        return FileFacts(Format.HDF5, tensors=of_model(file.tensors), properties=properties, problems=file.problems)
    configurations = []
    for name in (_CONFIGURATION, _TRAINING):
        texts = root.get(name, [])
        if texts is None or len(texts) > 1:
            raise invalid(f"its {name} is no text")
        configurations += [text.encode() for text in texts]
    if not root[_CONFIGURATION]:
        raise invalid(f"its {_CONFIGURATION} is empty")
    return described(configurations, file.tensors, file.problems, version, properties)


def read_hdf5(content: Content) -> Hdf5:
    """What an HDF5 file holds.

    Raises:
        InvalidModelFile
    """
    try:
        file = read_file(content)
    except BadHdf5 as error:
        raise InvalidModelFile(f"Not a valid HDF5 file: {error}.", format="hdf5") from error
    file.problems += itertools.islice(_pickled(file), _MAX_PICKLED)
    return file


def _pickled(file: Hdf5) -> Iterator[str]:
    """What PyTables, and pandas with it, would unpickle: attributes that end as pickles do, and rows of objects."""
    budget = Budget()
    for path, attributes in file.attributes.items():
        for name, texts in attributes.items():
            pickled = [MemoryContent(text.encode()) for text in texts or () if text.endswith(".")]
            if any(pickles.fits(each, budget) for each in pickled):
                yield f"the attribute {name[:255]!r} of {path or 'the file'} is a pickle"
        if attributes.get("PSEUDOATOM") == ["object"]:
            yield f"{path or 'the file'} holds objects, which are pickled"


def _one(texts: Sequence[str] | None) -> str:
    return storable(texts[0]) if texts else ""
