"""Which format a file has, told by its content and never by its name.

A file whose first byte is 0x08 may be ONNX, or safetensors with a header length that is a multiple of 8 and ends in 08:
so safetensors is asked first, and ONNX is believed only when its whole outer structure holds (features.md, X-13).
"""

from pathlib import Path
from typing import Protocol

from services.registry.formats import gguf, onnx, pickles, pytorch, safetensors
from services.registry.formats.archives import other_zip
from services.registry.formats.archives.tars import Tars
from services.registry.formats.content import Content, FileContent
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.hugging_face import bin_index
from services.registry.formats.hugging_face import config as hugging_face_config
from services.registry.formats.keras import archive as keras_archive
from services.registry.formats.keras import h5
from services.registry.formats.pickles import arrays
from services.registry.formats.pickles import compressed as compressed_pickles
from services.registry.formats.safetensors import index as safetensors_index
from services.registry.formats.tensorflow import keras_metadata, saved_model, variables
from services.registry.formats.trees import lightgbm, xgboost, xgboost_binary


class Reader(Protocol):
    """What a module that reads a format has."""

    def fits(self, content: Content) -> bool:
        """Whether the content is of this format, or so much like it that what is wrong should be said."""

    def read(self, content: Content) -> FileFacts:
        """What the content says of itself.

        Raises:
            InvalidModelFile: it breaks a rule of the format.
        """


def _within_archive(content: Content) -> FileFacts:
    """What a file in an archive says; an archive in an archive is not opened, so that nesting has an end."""
    if _TARS.fits(content):
        return FileFacts(Format.TAR, problems=["an archive within an archive, which was not looked into"])
    return read(content)


_TARS = Tars(_within_archive)
# In this order: a format that is told by a few bytes comes before one that is told by its structure.
# The last two take what others left: any pickle, any zip.
_READERS: tuple[Reader, ...] = (
    safetensors,
    safetensors_index,
    bin_index,
    gguf,
    xgboost,
    xgboost_binary,
    lightgbm,
    hugging_face_config,
    _TARS,
    compressed_pickles,
    arrays,
    variables,
    h5,
    pytorch,
    keras_archive,
    keras_metadata,
    saved_model,
    onnx,
    pickles,
    other_zip,
)


def inspect(path: Path) -> FileFacts:
    """What the file says of itself. Weights are not read.

    Raises:
        InvalidModelFile: it begins like a known format and then breaks its rules.
    """
    return read(FileContent(path))


def read(content: Content) -> FileFacts:
    """See :func:`inspect`, for content from anywhere."""
    for reader in _READERS:
        if reader.fits(content):
            return reader.read(content)
    if safetensors.begins_like_it(content):
        return safetensors.read(content)  # says what is wrong with its length
    return FileFacts(format=Format.UNSPECIFIED)
