"""Free values, as in JSON: what a parameter, hyperparameter or annotation may be."""

from typing import Final, TypeAlias

Json: TypeAlias = bool | float | str | list["Json"] | dict[str, "Json"] | None

MAX_DEPTH: Final = 32
"""How deep lists and objects may lie in each other. In a message each object is three levels, and protobuf's readers
stop at a hundred: what a version says must be read in a list of versions too."""


def same_value(one: Json, other: Json) -> bool:
    """Whether two values are equal: 1 is 1.0, as in JSON, but never True."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(value, other[key]) for key, value in one.items())
    if isinstance(one, int | float) and isinstance(other, int | float):
        return float(one) == float(other)  # a database may give 1e22 back as a whole number
    return one == other
