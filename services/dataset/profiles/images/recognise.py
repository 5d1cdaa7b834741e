"""Which values of a binary column are images, and what their headers say."""

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from services.dataset.profiles.images import jpeg, png, simple, tiff, webp
from services.dataset.profiles.images.header import Header, Reader, Unreadable

_SHORTEST = 12
"""Bytes that are looked at; no image is shorter."""

_READERS: tuple[tuple[bytes, Reader], ...] = (
    (jpeg.MAGIC, jpeg.read),
    (png.MAGIC, png.read),
    (webp.MAGIC, webp.read),
    *((magic, simple.read_gif) for magic in simple.GIF_MAGIC),
    (tiff.LITTLE, tiff.read),
    (tiff.BIG, tiff.read),
    (simple.BMP_MAGIC, simple.read_bmp),
    *((magic, simple.read_netpbm) for magic in simple.NETPBM_MAGIC),
)


def image_headers(
    starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], data: memoryview
) -> Iterator[Header | None]:
    """The headers of the values ``data[start:end]`` that begin like images; None for one that cannot be read.

    Values that begin like none cost a few nanoseconds each.
    """
    for number in np.flatnonzero(_candidates(starts, ends, data)).tolist():
        yield read_header(data[starts[number] : ends[number]])


def read_header(value: memoryview) -> Header | None:
    """The header of an image, or None."""
    for magic, read in _READERS:
        if bytes(value[: len(magic)]) == magic:
            try:
                return read(value)
            except (Unreadable, IndexError, struct.error):
                return None
    return None


def _candidates(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], data: memoryview) -> npt.NDArray[np.bool_]:
    candidates = np.zeros(len(starts), np.bool_)
    long = np.flatnonzero(ends - starts >= _SHORTEST)
    heads = np.frombuffer(data, np.uint8)[starts[long, None] + np.arange(_SHORTEST)]
    found = np.zeros(len(long), np.bool_)
    for magic, _ in _READERS:
        found |= _have(heads, 0, [magic]) & _have(heads, *_CLOSER.get(magic, (0, [magic])))
    candidates[long[found]] = True
    return candidates


def _have(heads: npt.NDArray[np.uint8], place: int, texts: list[bytes]) -> npt.NDArray[np.bool_]:
    """Which of the heads have one of the texts at that place."""
    found = np.zeros(len(heads), np.bool_)
    for text in texts:
        found |= (heads[:, place : place + len(text)] == np.frombuffer(text, np.uint8)).all(axis=1)
    return found


_CLOSER: dict[bytes, tuple[int, list[bytes]]] = {
    # What begins with a word or two letters may be something else: what stands at this place must fit too.
    webp.MAGIC: (8, [webp.KIND]),
    simple.BMP_MAGIC: (6, [bytes(4)]),
    **{magic: (2, [b" ", b"\t", b"\r", b"\n"]) for magic in simple.NETPBM_MAGIC},
}
