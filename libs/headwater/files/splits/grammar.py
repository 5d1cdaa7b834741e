"""How people say which split a row belongs to: one line of text, the same for files, queries and stored rows."""

from collections.abc import Callable, Mapping
from fractions import Fraction

from headwater.files.errors import InvalidSplitBy
from headwater.files.splits.given import ByColumn, ByDirectory, Whole
from headwater.files.splits.rule import SplitBy
from headwater.files.splits.shared import ByGroup, ByHash, ByRatio, ByStratum
from headwater.files.splits.shares import DEFAULT

FORMS = {
    "none": "all rows are in train",
    "name:NAME": "all rows are in the split NAME",
    "directory": "the first folder that a file is in, or its own name, is its split's",
    "column:COLUMN": "the value of COLUMN is the split's name",
    "hash:COLUMN,NAME=SHARE,…,seed=N": "by a hash of the value of COLUMN; rows that come later move no row",
    "ratio:NAME=SHARE,…,seed=N": "at random, in exactly these shares",
    "stratum:COLUMN,NAME=SHARE,…,seed=N": "at random, in these shares of each value of COLUMN",
    "group:COLUMN,NAME=SHARE,…,seed=N": "at random, rows with one value of COLUMN together",
}
"""What can be said, and what it means."""

_MAX_CHARACTERS = 4096


def split_by(text: str) -> SplitBy:
    """The rule that ``text`` says; FORMS lists what can be said.

    A share is a number such as ``0.8`` or ``4/5``, and shares add up to 1; without any, train, validation and test get
    0.8, 0.1 and 0.1. Without a seed it is 0.

    Raises:
        InvalidSplitBy, InvalidName: naming what is wrong.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InvalidSplitBy(f"{len(text)} characters are too many to say how to split; at most {_MAX_CHARACTERS}.")
    if text == "none":
        return Whole()
    if text == "directory":
        return ByDirectory()
    kind, colon, rest = text.partition(":")
    if kind == "ratio":
        return ByRatio(*_options(rest.split(",") if colon else []))
    if kind == "name" and colon:
        return Whole(rest)
    if kind == "column" and colon:
        return ByColumn(rest)
    rules: Mapping[str, Callable[[str, Mapping[str, Fraction], int], SplitBy]] = {
        "hash": ByHash,
        "stratum": ByStratum,
        "group": ByGroup,
    }
    if kind not in rules:
        raise InvalidSplitBy(f"{text!r} is not one of {'; '.join(FORMS)}.")
    column, *options = rest.split(",")
    return rules[kind](column, *_options(options))


def _options(options: list[str]) -> tuple[Mapping[str, Fraction], int]:
    """The shares and the seed."""
    shares: dict[str, Fraction] = {}
    seed: int | None = None
    for option in options:
        name, _, value = option.partition("=")
        try:
            if name == "seed":
                if seed is not None:
                    raise InvalidSplitBy("The seed is given twice.")
                seed = int(value)
            elif name in shares:
                raise InvalidSplitBy(f"The share of {name} is given twice.", split=name)
            else:
                shares[name] = _share(value)
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidSplitBy(f"{option!r} must be NAME=SHARE or seed=N, with numbers.", option=option) from error
    return shares or DEFAULT, seed or 0


def _share(text: str) -> Fraction:
    # 1e999999999 would be a number of that many digits.
    if len(text) > 40 or "e" in text.lower():
        raise ValueError(text)
    return Fraction(text)
