"""What splits are called: train, validation, test, holdout and debug, or any other legal name."""

import re
from collections.abc import Iterable

from headwater.files.errors import InvalidSplitBy
from headwater.names import InvalidName, split_name

KNOWN = ("train", "validation", "test", "holdout", "debug")
"""The usual names, in the order in which splits are listed."""
MAX_SPLITS = 100
_SHARD = re.compile(r"(.+?)[-_.](?:\d{3,}(?:-of-\d{3,})?)", re.ASCII)


def split_of_file(stem: str) -> str:
    """The split that a file name without its extension means: ``train``, or a part of it, ``train-00001-of-00003``."""
    shard = _SHARD.fullmatch(stem)
    return split_name(shard[1] if shard else stem)


def is_usual(name: str) -> bool:
    """Whether the name is that of a usual split, or another word for one."""
    try:
        return split_name(name) in KNOWN
    except InvalidName:
        return False


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The usual names first, in their order, then the others by code point."""
    return tuple(sorted(set(names), key=lambda name: (KNOWN.index(name) if name in KNOWN else len(KNOWN), name)))


def unambiguous(names: Iterable[str]) -> dict[str, str]:
    """Each of the names that are there, with the split it means.

    Raises:
        InvalidSplitBy: two of them mean one split, or there are more than a hundred.
        InvalidName: naming the first that is not legal.
    """
    meant: dict[str, str] = {}
    for name in names:
        split = split_name(name)
        if twin := next((other for other, taken in meant.items() if taken == split and other != name), None):
            raise InvalidSplitBy(f"{twin} and {name} both mean the split {split}.", split=split)
        meant[name] = split
    if len(meant) > MAX_SPLITS:
        raise InvalidSplitBy(f"There are more than {MAX_SPLITS} splits: {', '.join(list(meant)[:5])} ….")
    return meant
