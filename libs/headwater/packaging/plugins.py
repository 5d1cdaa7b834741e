"""What each type of data adds to a recipe's data processing (M-82): a base that all have, and a plugin for each type.

A plugin says which options there are beside the base's, so that an unknown one is an error and not ignored.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater.packaging.recipe import DataProcess


@dataclass(frozen=True, slots=True)
class Plugin:
    """The options of one type of data, each with what its value must be."""

    options: Mapping[str, type | tuple[type, ...]]


_NAMES: Final[dict[type, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
}
_NUMBERS: Final = (int, float)

PLUGINS: Final = {
    # The options of images are those of the preprocessing steps, by the steps' names.
    "Image": Plugin({"image_decode": dict, "image_resize": dict, "image_normalization": dict}),
    "NLP": Plugin(
        {"tokenizer": str, "vocabulary": (str, int), "max_length": int, "lower_case": bool, "stop_words": list}
    ),
    "voice": Plugin({"sample_rate": int, "channels": int, "window_ms": _NUMBERS, "hop_ms": _NUMBERS, "features": str}),
}


def check(process: DataProcess) -> Iterator[tuple[str, str]]:
    """Each option that is unknown or of another type: its path and what is wrong."""
    if not process.type:
        return
    known = PLUGINS[process.type].options
    for name, value in process.options.items():
        path = f"data_process.{name}"
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"{process.type} has {', '.join(known)}."
            yield path, f"is not known; {hint}"
        elif value is not None and not _is_a(value, known[name]):
            yield path, f"must be {_name(known[name])}"


def parameters(process: DataProcess) -> dict[str, Any]:
    """What the code of a job reads of it, by names such as ``data_process.padding``."""
    base = {name: getattr(process, name) for name in ("data_load", "data_split", "padding", "truncating", "type")}
    found = {**base, **process.options}
    return {f"data_process.{name}": value for name, value in found.items() if value not in (None, "")}


def _is_a(value: Any, wanted: type | tuple[type, ...]) -> bool:
    types = wanted if isinstance(wanted, tuple) else (wanted,)
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _name(wanted: type | tuple[type, ...]) -> str:
    return " or ".join(_NAMES[each] for each in (wanted if isinstance(wanted, tuple) else (wanted,)))
