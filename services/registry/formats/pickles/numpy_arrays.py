"""How NumPy makes its arrays and types out of a pickle, and no other way.

NumPy takes the state that it is given at its word. A type whose state says that it holds no objects where it does, or
of another size than it has, lets the array's bytes be followed as addresses; an array that is given a second state
frees what a tensor may still look at. What NumPy writes itself is safe, and is little: all else is told.
"""

import re

from services.registry.formats.pickles.values import Call, Value

_MAKERS = frozenset((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core"))
_TYPE = ("numpy", "dtype")
# Kind and bytes, as they are written: "f8", "O8", "S5", "U3", "M8".
_CODE = re.compile(r"[|<>=]?([?biufcSaUVOmM])([0-9]{0,9})")
_OBJECTS_FLAGS = 63
_FLAGS = {"O": {_OBJECTS_FLAGS}, "S": {0, 8}, "a": {0, 8}, "U": {0, 8}, "V": {0, 8}}
_CHARACTER_BYTES = {"S": 1, "a": 1, "U": 4, "V": 1}
_OF_TYPE = slice(2, 5)  # what it is a part of, the names of its fields, and the fields


def is_unusual_call(function: tuple[str, str], arguments: tuple[Value, ...]) -> bool:
    """Whether an array would be made in another way than empty and of bytes, to be given its state then."""
    if function not in _MAKERS:
        return False
    shape = arguments[1] if len(arguments) == 3 else None
    return not (isinstance(shape, tuple) and len(shape) == 1 and type(shape[0]) is int and shape[0] == 0)


def is_unusual_state(target: Call, state: Value) -> bool:
    """Whether the state is one that NumPy would not give to what the call made; of what is not NumPy's it never is."""
    if target.key[0].partition(".")[0] != "numpy":
        return False
    if target.key == _TYPE:
        return not _is_of_type(target.arguments, state)
    return target.key not in _MAKERS or target.state is not None


def _is_of_type(arguments: tuple[Value, ...], state: Value) -> bool:
    code = _CODE.fullmatch(arguments[0]) if arguments and isinstance(arguments[0], str) else None
    if code is None or not isinstance(state, tuple) or len(state) not in (8, 9):
        return False
    kind, (size, alignment, flags) = code[1], state[5:8]
    fits = size == int(code[2] or "0") * _CHARACTER_BYTES[kind] if kind in _CHARACTER_BYTES else size == -1
    return (
        all(part is None for part in state[_OF_TYPE])
        and all(type(number) is int for number in (size, alignment, flags))
        and fits
        and alignment in (-1, 1, 2, 4, 8, 16)
        and flags in _FLAGS.get(kind, {0})
    )
