"""What a profile says, as bytes to keep: compressed JSON, in which infinities and NaN are written as Python does."""

import dataclasses
import json
import zlib
from collections.abc import Sequence
from typing import Any

from services.dataset.profiles.model import (
    Bin,
    ColumnProfile,
    ImageProfile,
    NumberProfile,
    SplitProfile,
    ValueCount,
)


def pack(splits: Sequence[SplitProfile]) -> bytes:
    """The splits with all their columns."""
    document = [dataclasses.asdict(split) for split in splits]
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), level=3)


def unpack(content: bytes) -> tuple[SplitProfile, ...]:
    """What ``pack`` was given; nothing for no bytes."""
    return tuple(_split(split) for split in json.loads(zlib.decompress(content))) if content else ()


def summary(splits: Sequence[SplitProfile]) -> list[Any]:
    """The splits without their columns, as JSON."""
    return [[split.split, split.row_count, split.size_bytes] for split in splits]


def from_summary(splits: Sequence[Any]) -> tuple[SplitProfile, ...]:
    """What ``summary`` was given, without the columns."""
    return tuple(SplitProfile(*split) for split in splits)


def _split(document: dict[str, Any]) -> SplitProfile:
    return SplitProfile(**{**document, "columns": tuple(_column(column) for column in document["columns"])})


def _column(document: dict[str, Any]) -> ColumnProfile:
    return ColumnProfile(
        **{
            **document,
            "numbers": _numbers(document["numbers"]),
            "lengths": _numbers(document["lengths"]),
            "top_values": _counts(document["top_values"]),
            "images": _images(document["images"]),
        }
    )


def _numbers(document: dict[str, Any] | None) -> NumberProfile | None:
    if document is None:
        return None
    quantiles = tuple((rank, value) for rank, value in document["quantiles"])
    return NumberProfile(
        **{**document, "quantiles": quantiles, "histogram": tuple(Bin(**each) for each in document["histogram"])}
    )


def _images(document: dict[str, Any] | None) -> ImageProfile | None:
    if document is None:
        return None
    sizes = {side: _numbers(document[side]) for side in ("widths", "heights")}
    counts = {kind: _counts(document[kind]) for kind in ("colour_spaces", "formats")}
    return ImageProfile(**{**document, **sizes, **counts})


def _counts(documents: Sequence[dict[str, Any]]) -> tuple[ValueCount, ...]:
    return tuple(ValueCount(**document) for document in documents)
