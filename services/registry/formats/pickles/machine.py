"""Runs a pickle's program with notes in place of deeds: no import, no call, no object of any class that the file names.

The pickle machine (Python's ``Lib/pickle.py``, ``_Unpickler``) is a stack of values, marks in it, and a memo. Here its
GLOBAL pushes a Reference and its REDUCE a Call. What the real machine would refuse is refused, so that nothing can
hide after a place at which only this one goes on; an opcode that is not known is refused as well.
"""

from collections.abc import Callable, Mapping
from typing import Any

from services.registry.formats.pickles import numpy_arrays
from services.registry.formats.pickles.cursor import Cursor, CutOff, Malformed
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.opcodes import OPCODES
from services.registry.formats.pickles.values import Blob, Call, PersistentId, Reference, Table, Value

_HIGHEST_PROTOCOL = 5
_MAX_NAME = 1024


class Machine:
    """One run of a pickle; ``persistent`` says what an id stands for that the pickle leaves to its loader."""

    def __init__(self, cursor: Cursor, findings: Findings, persistent: Callable[[Value], Value] = PersistentId) -> None:
        self._cursor = cursor
        self._budget = cursor.budget
        self._findings = findings
        self._persistent = persistent
        self._stack: list[Value] = []
        self._marks: list[int] = []  # how high the stack was at each
        self._floor = 0  # at the last one
        self._memo: dict[int, Value] = {}

    def run(self) -> Value:
        """What the pickle would build; the cursor is then behind its STOP.

        Raises:
            Malformed: it is none, or not one that the real machine runs to its end.
        """
        cursor, steps = self._cursor, self._budget.steps
        try:
            while True:
                code = cursor.byte()
                steps -= 1
                if steps < 0:
                    raise Malformed("it takes more steps than are spent on a pickle")
                if code in _ALONE:
                    _ALONE[code](self)
                elif code in _WITH_ARGUMENT:
                    argument, action = _WITH_ARGUMENT[code]
                    action(self, argument(cursor))
                elif code == _STOP:
                    return self.pop()
                else:
                    raise Malformed(f"there is no opcode {code:#04x}")
        except ValueError as error:
            kind = CutOff if isinstance(error, CutOff) else Malformed
            raise kind(f"{error} (before byte {cursor.position})") from error
        finally:
            self._budget.steps = steps

    # The stack.

    def push(self, value: Value) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def pop(self) -> Value:
        """Take the uppermost value off, but none from below a mark."""
        if len(self._stack) <= self._floor:
            raise Malformed("it takes what is not there")
        return self._stack.pop()

    def top(self) -> Value:
        """The uppermost value above the mark."""
        if len(self._stack) <= self._floor:
            raise Malformed("it takes what is not there")
        return self._stack[-1]

    def pop_to_mark(self) -> list[Value]:
        """Take off all values above the last mark, and the mark."""
        if not self._marks:
            raise Malformed("a mark is missing")
        values = self._stack[self._floor :]
        del self._stack[self._floor :]
        self._forget_mark()
        return values

    def _forget_mark(self) -> None:
        self._marks.pop()
        self._floor = self._marks[-1] if self._marks else 0

    def built(self, value: Value) -> None:
        """Push something that takes memory of its own."""
        self._spend()
        self._stack.append(value)

    def _spend(self, values: int = 1) -> None:
        self._budget.values -= values
        if self._budget.values < 0:
            raise Malformed("it has more values than are kept of a pickle")

    # What the opcodes do, with the argument that follows them.

    def mark(self) -> None:
        self._spend()
        self._floor = len(self._stack)
        self._marks.append(self._floor)

    def drop(self) -> None:
        if self._marks and self._floor == len(self._stack):
            self._forget_mark()
        else:
            self.pop()

    def drop_to_mark(self) -> None:
        self.pop_to_mark()

    def again(self) -> None:
        self.push(self.top())

    def protocol(self, number: Any) -> None:
        if number > _HIGHEST_PROTOCOL:
            raise Malformed(f"there is no protocol {number}")

    def frame(self, _: Value) -> None:
        """How long a part is that can be fetched at once; nothing follows from it."""

    def put(self, index: Any) -> None:
        if index < 0:
            raise Malformed("a place in the memo is negative")
        if index not in self._memo:
            self._spend()
        self._memo[index] = self.top()

    def memoize(self) -> None:
        self.put(len(self._memo))

    def get(self, index: Any) -> None:
        if index not in self._memo:
            raise Malformed("it takes from the memo what was not put there")
        self.push(self._memo[index])

    # Containers.

    def empty_list(self) -> None:
        self.built([])

    def empty_dict(self) -> None:
        self.built(Table())

    def empty_tuple(self) -> None:
        self.push(())

    def list_of_mark(self) -> None:
        self.built(self.pop_to_mark())

    def tuple_of_mark(self) -> None:
        self.built(tuple(self.pop_to_mark()))

    def dict_of_mark(self) -> None:
        self.built(Table(self._pairs(self.pop_to_mark())))

    def tuple_of_1(self) -> None:
        self.built((self.pop(),))

    def tuple_of_2(self) -> None:
        last = self.pop()
        self.built((self.pop(), last))

    def tuple_of_3(self) -> None:
        last, middle = self.pop(), self.pop()
        self.built((self.pop(), middle, last))

    def append(self) -> None:
        value = self.pop()
        self._extend([value])

    def appends(self) -> None:
        values = self.pop_to_mark()
        self._extend(values)

    def _extend(self, values: list[Value]) -> None:
        container = self.top()
        if isinstance(container, list):
            container += values
        elif isinstance(container, Call):
            self._spend(len(values))
            container.table.pairs += [(None, value) for value in values]  # for example a subclass of list
        else:
            self._findings.does("puts items into what is no container")

    def set_item(self) -> None:
        value = self.pop()
        self._set([self.pop(), value])

    def set_items(self) -> None:
        self._set(self.pop_to_mark())

    def _set(self, keys_and_values: list[Value]) -> None:
        pairs, container = self._pairs(keys_and_values), self.top()
        if isinstance(container, Table | Call):
            table = container if isinstance(container, Table) else container.table
            table.pairs += pairs
        else:
            self._findings.does("puts items into what is no container")

    def _pairs(self, values: list[Value]) -> list[tuple[Value, Value]]:
        if len(values) % 2:
            raise Malformed("a key has no value")
        self._spend(len(values) // 2)
        return list(zip(values[::2], values[1::2], strict=True))

    # What would reach outside.

    def import_(self, names: Any) -> None:
        self._import(*names)

    def import_of_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if isinstance(module, str) and isinstance(name, str):
            self._import(module, name)
        elif isinstance(module, Call | PersistentId | Blob) or isinstance(name, Call | PersistentId | Blob):
            self._findings.does("imports something whose name it computes")
            self.built(Reference("", ""))
        else:
            raise Malformed("it imports what has no name")

    def import_extension(self, code: Any) -> None:
        if not 0 < code <= 0x7FFFFFFF:
            raise Malformed("an extension has no code")
        self._import("copyreg", f"extension {code}")

    def _import(self, module: str, name: str) -> None:
        if len(module) > _MAX_NAME or len(name) > _MAX_NAME:
            raise Malformed("a name is too long")
        reference = Reference(module, name)
        self._findings.imports(reference)
        self.built(reference)

    def persistent_line(self, id_: Value) -> None:
        self.built(self._persistent(id_))

    def persistent_of_stack(self) -> None:
        self.built(self._persistent(self.pop()))

    def call(self) -> None:
        arguments = self.pop()
        self._call(self.pop(), arguments)

    def call_with_names(self) -> None:
        names, arguments = self.pop(), self.pop()
        self._call(self.pop(), arguments)
        if isinstance(names, Table) and names.pairs:
            self._findings.does("makes an object with named arguments")  # nothing that is safe is made so

    def call_inst(self, names: Any) -> None:
        arguments = tuple(self.pop_to_mark())
        self._import(*names)
        self._call(self.pop(), arguments)

    def call_obj(self) -> None:
        function, *arguments = self.pop_to_mark() or [None]
        self._call(function, tuple(arguments))

    def _call(self, function: Value, arguments: Value) -> None:
        if isinstance(arguments, Call):  # a tuple of a class of its own, torch.Size(...)
            self._findings.does("computes what it calls something with")
            arguments = arguments.arguments
        if not isinstance(function, Reference | Call | PersistentId) or not isinstance(arguments, tuple):
            raise Malformed("it calls what cannot be called")
        self._findings.calls(function, arguments)
        self.built(Call(function, arguments))

    def set_state(self) -> None:
        state, target = self.pop(), self.top()
        if isinstance(target, Call):
            if numpy_arrays.is_unusual_state(target, state):
                self._findings.does("gives a NumPy array or type a state that NumPy does not write")
            target.state = state
        else:
            self._findings.does("changes something that it did not make")

    def buffer(self) -> None:
        self.built(Blob(0))

    def read_only(self) -> None:
        self.top()


_STOP = ord(".")
_ACTIONS: Mapping[str, Callable[[Machine], None]] = {
    "MARK": Machine.mark,
    "POP": Machine.drop,
    "POP_MARK": Machine.drop_to_mark,
    "DUP": Machine.again,
    "MEMOIZE": Machine.memoize,
    "EMPTY_LIST": Machine.empty_list,
    "EMPTY_DICT": Machine.empty_dict,
    "EMPTY_TUPLE": Machine.empty_tuple,
    "LIST": Machine.list_of_mark,
    "TUPLE": Machine.tuple_of_mark,
    "DICT": Machine.dict_of_mark,
    "TUPLE1": Machine.tuple_of_1,
    "TUPLE2": Machine.tuple_of_2,
    "TUPLE3": Machine.tuple_of_3,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "STACK_GLOBAL": Machine.import_of_stack,
    "BINPERSID": Machine.persistent_of_stack,
    "REDUCE": Machine.call,
    "NEWOBJ": Machine.call,
    "NEWOBJ_EX": Machine.call_with_names,
    "OBJ": Machine.call_obj,
    "BUILD": Machine.set_state,
    "NEXT_BUFFER": Machine.buffer,
    "READONLY_BUFFER": Machine.read_only,
}
_ACTIONS_ON: Mapping[str, Callable[[Machine, Any], None]] = {
    "PUSH": Machine.push,
    "PROTO": Machine.protocol,
    "FRAME": Machine.frame,
    "PUT": Machine.put,
    "GET": Machine.get,
    "GLOBAL": Machine.import_,
    "EXTENSION": Machine.import_extension,
    "PERSID": Machine.persistent_line,
    "INST": Machine.call_inst,
}
# By code, so that the loop looks once.
_ALONE = {code: _ACTIONS[name] for code, (name, argument) in OPCODES.items() if argument is None and code != _STOP}
_WITH_ARGUMENT = {
    code: (argument, _ACTIONS_ON[name]) for code, (name, argument) in OPCODES.items() if argument is not None
}
