"""What a pickle would build, as plain values and as notes of what would have been called.

``None``, bool, int, float, str, bytes, tuple and list stand for themselves (a set is a list here). Nothing here is ever
hashed or compared: tuples that hold each other a hundred times over would take for ever.
"""

import dataclasses
from typing import TypeAlias

Value: TypeAlias = object
"""Anything that a pickle can hold: the kinds named above and the classes below."""


@dataclasses.dataclass(eq=False, slots=True)
class Table:
    """A dict, as the pairs that were put in, in their order; a later pair of the same key wins."""

    pairs: list[tuple[Value, Value]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False, slots=True)
class Blob:
    """A text or bytes too long to be kept."""

    size: int


@dataclasses.dataclass(eq=False, slots=True)
class Reference:
    """Something that the pickle would import. ``(module, name)`` says what; a name that is computed is empty."""

    module: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """Module and name."""
        return self.module, self.name


@dataclasses.dataclass(eq=False, slots=True)
class PersistentId:
    """Something that the pickle leaves to whoever loads it, by an id."""

    id: Value


@dataclasses.dataclass(eq=False, slots=True)
class Call:
    """What a call would have given, with what would then have been put into it.

    Attributes:
        function: what would be called, or the class of which an object would be made.
        arguments: positional ones.
        state: what it would be given as its state; ``None`` if nothing.
        table: key and value of each item that would be set.
    """

    function: Value
    arguments: tuple[Value, ...]
    state: Value = None
    table: Table = dataclasses.field(default_factory=Table)

    @property
    def key(self) -> tuple[str, str]:
        """Module and name of the function; empty ones if it is not simply imported."""
        return self.function.key if isinstance(self.function, Reference) else ("", "")


def members(value: Value) -> dict[str, Value]:
    """The values under texts of a dict, or of what a call made that can be filled like one."""
    table = value if isinstance(value, Table) else value.table if isinstance(value, Call) else Table()
    return {key: each for key, each in table.pairs if isinstance(key, str)}
