"""Texts and binaries, and the images among them."""

import collections
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dataset.profiles.columns.summary import Presence, Values, chunks_of, counted
from services.dataset.profiles.images.header import Header
from services.dataset.profiles.images.recognise import image_headers
from services.dataset.profiles.limits import Limits
from services.dataset.profiles.model import ColumnProfile, ImageProfile, ValueCount
from services.dataset.profiles.numbers import NumberSummary
from services.dataset.profiles.sketches.hashing import MAX_SHORT_BYTES, hash_long, hash_short

_is = pa.types


class TextColumn:
    """Texts and binaries."""

    def __init__(self, column: str, kind: Any, limits: Limits) -> None:
        self._presence = Presence(column, kind)
        self._is_text = _is.is_string(kind)
        self._plain = pa.string() if self._is_text else pa.binary()
        self._values = Values(pa.binary(), limits, _as_texts if self._is_text else _as_hex)
        self._lengths = NumberSummary(limits.sketch_size, limits.bins)
        self._images = None if self._is_text else Images(limits)

    def add(self, values: pa.ChunkedArray) -> None:
        """See Summary."""
        present = self._presence.add(values).cast(self._plain)
        lengths = (pc.utf8_length if self._is_text else pc.binary_length)(present)
        self._lengths.add(np.sort(lengths.to_numpy()).astype(np.float64))
        raw = present.cast(pa.binary())
        is_short = pc.less_equal(pc.binary_length(raw), MAX_SHORT_BYTES)
        short = raw if pc.all(is_short).as_py() else raw.filter(is_short)
        distinct, counts = counted(short)
        self._values.add(distinct, counts, hash_short(*_content(distinct)))
        for chunk in chunks_of(raw):
            self._look_at(chunk)

    def profiles(self) -> Iterator[ColumnProfile]:
        """See Summary."""
        yield self._presence.profile(
            distinct_estimate=self._values.distinct_estimate,
            lengths=self._lengths.result(whole=True),
            top_values=self._values.top,
            top_values_are_all=self._values.are_all,
            images=self._images.result() if self._images else None,
        )

    def _look_at(self, chunk: pa.Array) -> None:
        """What has to be looked at where it lies: long values, and images."""
        offsets, data = _content(chunk)
        starts, ends = offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64)
        content = memoryview(data)  # type: ignore[arg-type]
        long = np.flatnonzero(ends - starts > MAX_SHORT_BYTES).tolist()
        self._values.add_uncounted(hash_long(content[starts[number] : ends[number]] for number in long))
        if self._images is not None:
            self._images.add(image_headers(starts, ends, content), len(chunk))


class Images:
    """The images of a binary column."""

    def __init__(self, limits: Limits) -> None:
        self._widths, self._heights = (NumberSummary(limits.sketch_size, limits.bins) for _ in range(2))
        self._colour_spaces: collections.Counter[str] = collections.Counter()
        self._formats: collections.Counter[str] = collections.Counter()
        self._values = 0
        self._candidates = 0

    def add(self, headers: Iterable[Header | None], values: int) -> None:
        """Take the headers of some of so many values."""
        looked_at = list(headers)
        read = [header for header in looked_at if header is not None]
        self._values += values
        self._candidates += len(looked_at)
        self._widths.add(np.sort(np.array([header.width for header in read], np.float64)))
        self._heights.add(np.sort(np.array([header.height for header in read], np.float64)))
        self._colour_spaces.update(header.colour_space for header in read)
        self._formats.update(header.format for header in read)

    def result(self) -> ImageProfile | None:
        """What the images are like; None when nothing even begins like one."""
        if not self._candidates:
            return None
        count = self._formats.total()
        return ImageProfile(
            count=count,
            unreadable_count=self._values - count,
            widths=self._widths.result(whole=True),
            heights=self._heights.result(whole=True),
            colour_spaces=_ranked(self._colour_spaces),
            formats=_ranked(self._formats),
        )


def _content(values: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """The offsets of binary values, and the bytes that they are offsets into."""
    _, offsets, data = values.buffers()
    if offsets is None:
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    found = np.frombuffer(offsets, np.int32, len(values) + 1, values.offset * 4)
    return found, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)


def _as_texts(values: pa.Array) -> list[str]:
    return [value.decode("utf-8", "replace") for value in values.to_pylist()]


def _as_hex(values: pa.Array) -> list[str]:
    return [f"0x{value.hex()}" for value in values.to_pylist()]


def _ranked(counts: collections.Counter[str]) -> tuple[ValueCount, ...]:
    return tuple(ValueCount(*each) for each in sorted(counts.items(), key=lambda each: (-each[1], each[0])))
