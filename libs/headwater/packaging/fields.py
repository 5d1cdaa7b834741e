"""How the classes of documents say what a field is, beside its type.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Author:
        name: str = known(required=True)
        email: str = known()

A type says how a field is read: ``str`` takes any scalar as it is written (a version 1.10 stays ``1.10``), ``bool``,
``int``, ``float``, ``datetime`` and ``Secret`` what their names say, a class its section, ``tuple[X, ...]`` a list,
``Mapping[str, X]`` a mapping with free keys, and ``Any`` whatever there is. Absent is ``""``, ``()``, ``{}``, ``False``
or ``None``, and is not written.
"""

import dataclasses
import datetime
import functools
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Any, Final, Union

from headwater.packaging.values import Secret

_RULE: Final = "headwater"


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What is known of a field beside its type."""

    key: str = ""
    """Its name in the document, where it cannot be one in Python."""
    required: bool = False
    """Whether it must be there when its section is."""
    choices: tuple[str, ...] = ()
    """The texts that it may be; others are errors."""
    usual: tuple[str, ...] = ()
    """The texts that it usually is; others get a warning."""
    refers: bool = False
    """Whether it names another part of the document."""
    rest: bool = False
    """Whether it takes the keys that no other field of its section has."""
    one: bool = False
    """Whether a list of one may be written without its dash."""
    named: str = ""
    """The field of its items that a mapping, written for the list, has as values; the keys are their names."""
    pairs: bool = False
    """Whether a mapping is written as MLSpec does: a list of ``- key: value``."""
    least: float | None = None
    """The least number."""


def known(default: Any = "", **rule: Any) -> Any:
    """A text, or a field with another ``default``; the keywords are those of :class:`Rule`."""
    return dataclasses.field(default=default, metadata={_RULE: Rule(**rule)})


def listed(**rule: Any) -> Any:
    """A list."""
    return known((), **rule)


def mapped(**rule: Any) -> Any:
    """A mapping with free keys."""
    return dataclasses.field(default_factory=dict, metadata={_RULE: Rule(**rule)})


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field of a section, ready to be read or written."""

    attribute: str
    key: str
    rule: Rule
    kind: str
    """How it is read: ``text``, ``number`` …; the names of the Reader's functions."""
    of: Any = None
    """The class of a section; of a list or a mapping, what it holds, as a field itself."""


_KINDS: Final[dict[Any, str]] = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    datetime.datetime: "moment",
    Secret: "secret",
    Any: "any",
}


def fields_of(section: type) -> tuple[Field, ...]:
    """The fields of a section, in the order in which they are written."""
    return _fields_of(section)


@functools.cache
def _fields_of(section: Hashable) -> tuple[Field, ...]:
    assert isinstance(section, type)
    hints = typing.get_type_hints(section)
    found = []
    for field in dataclasses.fields(section):
        rule = field.metadata.get(_RULE) or Rule()
        found.append(_field(field.name, rule.key or field.name, rule, hints[field.name]))
    return tuple(found)


def _field(attribute: str, key: str, rule: Rule, hint: Any) -> Field:
    if typing.get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if hint in _KINDS:
        return Field(attribute, key, rule, _KINDS[hint])
    if dataclasses.is_dataclass(hint):
        return Field(attribute, key, rule, "section", hint)
    within = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return Field(attribute, key, rule, "list", _field(attribute, key, rule, within[0]))
    if typing.get_origin(hint) is Mapping:
        return Field(attribute, key, rule, "mapping", _field(attribute, key, Rule(least=rule.least), within[1]))
    raise TypeError(f"{attribute} has a type that no document holds: {hint}")
