"""Reads the index of a model whose PyTorch weights are in several files: ``pytorch_model.bin.index.json``.

{"metadata": {"total_size": 28966928384}, "weight_map": {"lm_head.weight": "pytorch_model-00002-of-00002.bin", ...}}
"""

import re

from services.registry.formats.content import Content
from services.registry.formats.facts import MAX_TENSORS, ExternalData, FileFacts, InvalidModelFile
from services.registry.formats.json_text import JsonReader, NotJson

_MAX_BYTES = 64 * 2**20
_BEGINNING_BYTES = 16_384
_BEGINNING = re.compile(
    rb'\s*\{\s*("metadata"\s*:\s*\{[^{}]*\}\s*,\s*)?"weight_map"\s*:\s*\{\s*"[^"]*"\s*:\s*"[^"]*\.(bin|pt|pth)"'
)
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)


def fits(content: Content) -> bool:
    """Whether it begins like an index of PyTorch's files."""
    return _BEGINNING.match(content.read(0, min(content.size, _BEGINNING_BYTES))) is not None


def read(content: Content) -> FileFacts:
    """The files (``external``). Which tensor is in which is not told: their own directories say it.

    Raises:
        InvalidModelFile: it is broken, or names a file that is not beside it.
    """
    files: set[str] = set()
    reader, count = JsonReader(content, _MAX_BYTES), 0
    try:
        for member in reader.members():
            if member != "weight_map":
                continue
            for tensor in reader.members():
                file = reader.value()
                count += 1
                if count > MAX_TENSORS:
                    raise _invalid(f"it has more than {MAX_TENSORS} tensors")
                if not isinstance(file, str) or not _SHARD.fullmatch(file):
                    raise _invalid(f"tensor {tensor[:64]!r} would be in {str(file)[:64]!r}, which is no file beside it")
                files.add(file)
    except NotJson as error:
        raise _invalid(str(error)) from error
    return FileFacts(
        properties={"tensor_count": str(count)}, external=[ExternalData(each, 0) for each in sorted(files)]
    )


def _invalid(what: str) -> InvalidModelFile:
    return InvalidModelFile(f"Not a valid index of PyTorch files: {what}.", format="pytorch index")
