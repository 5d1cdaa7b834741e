"""The lines of LightGBM's text: a key, and numbers."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from services.inference.engines.engine import ModelRefused
from services.inference.tensors.model import Array

_COUNT = re.compile(r"[0-9]{1,9}")
_INTEGERS = re.compile(r"-?[0-9]{1,18}( +-?[0-9]{1,18})*")
_NUMBERS = re.compile(r"[-+.0-9einfa]{1,32}( +[-+.0-9einfa]{1,32})*")


def lines_of(text: str) -> dict[str, str]:
    """The lines by their keys, in their order.

    Raises:
        ModelRefused: a key comes twice.
    """
    lines: dict[str, str] = {}
    for line in filter(None, text.split("\n")):
        key, _, value = line.partition("=")
        if key in lines:
            raise wrong(f"the line {key[:32]!r} comes twice")
        lines[key] = value
    return lines


def count(lines: Mapping[str, str], key: str, most: int) -> int:
    """A number of things, up to ``most``.

    Raises:
        ModelRefused: it is none.
    """
    text = lines.get(key, "")
    if not _COUNT.fullmatch(text) or int(text) > most:
        raise wrong(f"{key} must be a number up to {most}")
    return int(text)


def integers(lines: Mapping[str, str], key: str, count: int | None) -> Array:
    """``count`` whole numbers, as many as there are for None.

    Raises:
        ModelRefused: they are not, or are more or fewer.
    """
    return _array(lines, key, count, _INTEGERS, np.dtype(np.int64))


def numbers(lines: Mapping[str, str], key: str, count: int) -> Array:
    """``count`` numbers.

    Raises:
        ModelRefused: they are not, or are more or fewer.
    """
    return _array(lines, key, count, _NUMBERS, np.dtype(np.float64))


def _array(
    lines: Mapping[str, str], key: str, count: int | None, form: re.Pattern[str], dtype: "np.dtype[Any]"
) -> Array:
    text = lines.get(key, "")
    words = text.split()
    if (count is not None and len(words) != count) or not (not words or form.fullmatch(text.strip(" "))):
        raise wrong(f"{key} must be {'' if count is None else f'{count} '}numbers")
    try:
        return np.array(words, dtype) if words else np.zeros(0, dtype)
    except ValueError as error:
        raise wrong(f"{key} must be numbers") from error


def wrong(what: str) -> ModelRefused:
    """The error that says what is wrong with a file."""
    return ModelRefused(f"The file is not a model of LightGBM that is served: {what}.")
