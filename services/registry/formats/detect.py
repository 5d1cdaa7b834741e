"""Which format a file has, told by its content and never by its name.

A file whose first byte is 0x08 may be ONNX, or safetensors with a header length that is a multiple of 8 and ends in 08:
so safetensors is asked first, and ONNX is believed only when its whole outer structure holds (features.md, X-13).
"""

import mmap
from pathlib import Path

from services.registry.formats import onnx, safetensors
from services.registry.formats.facts import FileFacts, Format


def inspect(path: Path) -> FileFacts:
    """What the file says of itself. It is memory-mapped; weights are not read.

    Raises:
        InvalidModelFile: it begins like a known format and then breaks its rules.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return FileFacts()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            return read(view)


def read(content: memoryview) -> FileFacts:
    """See :func:`inspect`, for content that is in memory already."""
    if safetensors.fits(content):
        return safetensors.read(content)
    if onnx.fits(content):
        return onnx.read(content)
    if safetensors.begins_like_it(content):
        return safetensors.read(content)  # says what is wrong with its length
    return FileFacts(format=Format.UNSPECIFIED)
