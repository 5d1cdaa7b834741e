"""What a noun can be searched by."""

import dataclasses
import difflib
import enum
from collections.abc import Mapping

MAX_KEY = 255


class Kind(enum.Enum):
    """What values a field has, and so what it can be compared with."""

    TEXT = "text, in quotes"
    NUMBER = "a number"
    TIME = "a time: milliseconds since 1970, or text as in '2026-01-31T12:00:00Z'"
    WORD = "one of its words, in quotes"


@dataclasses.dataclass(frozen=True, slots=True)
class Type:
    """The kinds of values of a field: one, or text and numbers both. ``words`` are those of an enum, in their order.
    ``is_uid`` is told of a text."""

    kinds: tuple[Kind, ...]
    words: Mapping[str, int] = dataclasses.field(default_factory=dict)
    is_uid: bool = False


TEXT = Type((Kind.TEXT,))
UID = Type((Kind.TEXT,), is_uid=True)
"""A uid, which may be written as MLflow writes it."""
NUMBER = Type((Kind.NUMBER,))
TIME = Type((Kind.TIME,))
NUMBER_OR_TEXT = Type((Kind.NUMBER, Kind.TEXT))
"""A value that may be a number: it is compared as one with numbers, and as its text with texts."""


def word_type(words: type[enum.IntEnum], **more: int) -> Type:
    """The type of an enum; ``more`` are further words for its numbers."""
    return Type((Kind.WORD,), {**{word.name: int(word) for word in words}, **more})


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field as a filter or an order names it; ``key`` is that of a map, else empty. It has values of one kind."""

    name: str
    key: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.name}.{self.key}" if self.key else self.name


class UnknownField(Exception):
    """There is no such field; the text says so."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a noun by name: plain ones, whose names may have a dot, and maps whose keys are free.

    ``aliases`` are further names, and ``prefixes`` what may stand before a plain name, as in ``attributes.name``.
    """

    plain: Mapping[str, Type]
    maps: Mapping[str, Type] = dataclasses.field(default_factory=dict)
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prefixes: tuple[str, ...] = ("attributes", "attribute", "attr")

    def find(self, head: str, key: str) -> tuple[str, str, Type]:
        """Name, key and type of what is written as ``head`` or ``head.key``.

        Raises:
            UnknownField
        """
        if key and head in self.prefixes:
            head, key = key, ""
        name = self.aliases.get(head, head)
        if key and f"{name}.{key}" in self.plain:
            return f"{name}.{key}", "", self.plain[f"{name}.{key}"]
        if key and name in self.maps:
            if len(key) > MAX_KEY:
                raise UnknownField(f"a key has at most {MAX_KEY} characters")
            return name, key, self.maps[name]
        if not key and name in self.plain:
            return name, "", self.plain[name]
        if not key and name in self.maps:
            raise UnknownField(f"{name} needs a key, as in {name}.name")
        raise UnknownField(self._unknown(f"{head}.{key}" if key else head))

    def _unknown(self, written: str) -> str:
        known = [*self.plain, *(f"{name}.…" for name in self.maps)]
        near = difflib.get_close_matches(written[:MAX_KEY], self.plain, n=1)
        meant = f"; is {near[0]} meant?" if near else f"; there are {', '.join(known)}"
        return f"there is no {_short(written)}{meant}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
