"""Conditions as values.

A comparison with something that is not there is false, whatever the operator; ``Present`` asks for that. So every
condition is either true or false.
"""

import dataclasses
import datetime
import enum
from typing import TypeAlias

from services.registry.search.fields import Field

Value: TypeAlias = str | float | int | datetime.datetime
"""What a field of kind TEXT, NUMBER, WORD or TIME has."""


class Operator(enum.Enum):
    """How a field is compared with one value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LIKE = "LIKE"
    """``%`` is any text, ``_`` any character, and a backslash takes the meaning from what follows it."""
    ILIKE = "ILIKE"
    """As LIKE, whatever the case of the letters A to Z."""
    NOT_LIKE = "NOT LIKE"
    NOT_ILIKE = "NOT ILIKE"


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """The field has a value that compares so. NaN is equal to nothing and in no range."""

    field: Field
    operator: Operator
    value: Value


@dataclasses.dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of the values."""

    field: Field
    values: tuple[Value, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class NoneOf:
    """The field has a value, and it is none of these."""

    field: Field
    values: tuple[Value, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Present:
    """The field has a value."""

    field: Field


@dataclasses.dataclass(frozen=True, slots=True)
class Not:
    """The other way round."""

    part: "Condition"


@dataclasses.dataclass(frozen=True, slots=True)
class And:
    """All of these; with no parts, true."""

    parts: tuple["Condition", ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Or:
    """One of these at least."""

    parts: tuple["Condition", ...]


Condition: TypeAlias = Comparison | OneOf | NoneOf | Present | Not | And | Or

EVERYTHING = And(())
