"""Tells PyTorch's files by their structure, never by a word in them (features.md, X-13), and reads each by its kind."""

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.pickles.cursor import Budget
from services.registry.formats.pytorch import export, legacy, saved, script
from services.registry.formats.pytorch.archive import kind_of

_READERS = {Format.PYTORCH: saved.read, Format.TORCHSCRIPT: script.read, Format.TORCH_EXPORT: export.read}


def fits(content: Content) -> bool:
    """Whether the content is an archive with the members that PyTorch's loaders need, or begins with the old form's
    magic number."""
    return legacy.fits(content) or kind_of(content) is not Format.UNSPECIFIED


def read(content: Content) -> FileFacts:
    """What the file says of itself; weights are not read, nothing is executed.

    Raises:
        InvalidModelFile: it breaks a rule of the format.
    """
    kind = kind_of(content)
    return _READERS[kind](content, Budget()) if kind in _READERS else legacy.read(content, Budget())
