"""What a model's maker says of it as texts, the way S3 carries user metadata (R-19), and what it means.

typed({"params": "25000000", "accuracy": "0.92"}) == {"params": 25000000, "accuracy": 0.92}
"""

import dataclasses
import datetime
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import NoReturn

from services.registry.formats.facts import MAX_INT64
from services.registry.values import MAX_DEPTH, Json, same_value
from services.registry.versions.errors import InvalidUserMetadata, MetadataConflict
from services.registry.versions.model import NewVersion

_MAX_BYTES = 262_144
_MAX_NAME = 255
_COUNT = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,12}))?([KMBT]?)", re.ASCII)
_ZEROS = {"": 0, "K": 3, "M": 6, "B": 9, "T": 12}
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,17})?([eE]-?[0-9]{1,2})?(%?)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})?)?", re.ASCII)


def typed(said: Mapping[str, str]) -> dict[str, Json]:
    """The values by key in lower case, as S3 has keys; those of keys that nobody knows stay texts.

    Raises:
        InvalidUserMetadata: naming the key.
    """
    if sum(len(key.encode()) + len(text.encode()) for key, text in said.items()) > _MAX_BYTES:
        raise InvalidUserMetadata(f"User metadata may have at most {_MAX_BYTES} bytes.")
    values: dict[str, Json] = {}
    for key, text in said.items():
        known = key.lower()
        if known in values:
            raise InvalidUserMetadata(f"{known} is there twice (case does not matter).", key=known)
        try:
            values[known] = _READERS.get(known, str)(text)
        except ValueError as error:
            raise InvalidUserMetadata(f"{known}: {error}", key=known) from error
    return values


def described(new: NewVersion) -> tuple[NewVersion, Mapping[str, Json]]:
    """``new`` with what only its user metadata says, and that metadata, typed.

    Raises:
        InvalidUserMetadata, MetadataConflict: naming the key.
    """
    metadata = typed(new.user_metadata)
    return (
        dataclasses.replace(
            new,
            framework_name=_agreed("framework", new.framework_name, metadata),
            architecture=_agreed("architecture", new.architecture, metadata),
            task=_agreed("task", new.task, metadata),
            hyperparameters=_together(new.hyperparameters, metadata.get("hyperparameters")),
        ),
        metadata,
    )


def _agreed(key: str, given: str, metadata: Mapping[str, Json]) -> str:
    said = str(metadata.get(key, ""))
    if given and said and given.casefold() != said.casefold():
        raise MetadataConflict(f"{key} is {given}, and {said} in the user metadata.", key=key)
    return given or said


def _together(given: Mapping[str, Json], said: Json) -> Mapping[str, Json]:
    if not isinstance(said, dict):
        return given
    for key, value in said.items():
        if key in given and not same_value(given[key], value):
            raise MetadataConflict(f"Hyperparameter {key} has another value in the user metadata.", key=key)
    return {**said, **given}


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty.")
    if len(text) > _MAX_NAME:
        raise ValueError(f"may have at most {_MAX_NAME} characters.")
    return text.strip()


def _count(text: str) -> int:
    """``25000000``, ``25M``, ``1.5B``: thousands, millions, billions, as the sizes of models are told."""
    match = _COUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:64]!r} is no whole number; 25000000, 25M and 1.5B are.")
    whole, fraction, unit = match[1], (match[2] or "").rstrip("0"), match[3]
    zeros = _ZEROS[unit] - len(fraction)
    if zeros < 0:
        raise ValueError(f"{text[:64]!r} is no whole number.")
    count = int(f"{whole}{fraction}{'0' * zeros}")
    if count > MAX_INT64:
        raise ValueError("must be below 2^63.")
    return count


def _share(text: str) -> float:
    """``0.92`` or ``92%``."""
    match = _NUMBER.fullmatch(text.strip())
    share = float(text.strip().rstrip("%")) / (100 if match and match[3] else 1) if match else math.nan
    if not 0 <= share <= 1:
        raise ValueError(f"{text[:64]!r} is not from 0 to 1; 0.92 and 92% are.")
    return share


def _date(text: str) -> str:
    """A day, or a day and a time; kept as it is written."""
    if not _DATE.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is no date like 2025-01-02 or 2025-01-02T10:30:00Z.")
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:64]!r} is no date that a calendar has.") from None
    return text


def _object(text: str) -> Json:
    """A JSON object: names to values."""
    try:
        value: Json = json.loads(
            text, object_pairs_hook=_pairs, parse_int=_whole, parse_float=_finite, parse_constant=_no
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise ValueError("is nested too deeply.") from None
    if isinstance(value, dict):
        _check_texts(value)
        return value
    raise ValueError("must be a JSON object.")


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    if any(not 0 < len(key) <= _MAX_NAME for key, _ in pairs):
        raise ValueError(f"has a name that does not have 1 to {_MAX_NAME} characters.")
    if len(dict(pairs)) < len(pairs):
        raise ValueError("has a name twice.")
    return dict(pairs)


def _check_texts(value: Json, depth: int = 0) -> None:
    """Refuse what cannot be stored: PostgreSQL has no NUL in texts, and half of a surrogate pair is no character."""
    if depth >= MAX_DEPTH and isinstance(value, list | dict):
        raise ValueError("is nested too deeply.")
    match value:
        case str():
            if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
                raise ValueError("has a text with NUL or half a character.")
        case list():
            for item in value:
                _check_texts(item, depth + 1)
        case dict():
            for key, item in value.items():
                _check_texts(key)
                _check_texts(item, depth + 1)


def _whole(digits: str) -> float:
    number = _finite(digits)
    return int(digits) if abs(number) < 2**53 else number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("has a number that is too large.")
    return number


def _no(constant: str) -> NoReturn:
    raise ValueError(f"has {constant}, which JSON does not have.")


_READERS: Mapping[str, Callable[[str], Json]] = {
    "params": _count,
    "accuracy": _share,
    "training_date": _date,
    "hyperparameters": _object,
    **dict.fromkeys(
        (
            "framework",
            "architecture",
            "task",
            "author",
            "dataset",
            "training_dataset",
            "dataset_version",
            "dataset_split",
        ),
        _name,
    ),
}
