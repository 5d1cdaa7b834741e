"""Runs a pickle's program with notes in place of deeds: no import, no call, no object of any class that the file names.

The pickle machine (Python's ``Lib/pickle.py``, ``_Unpickler``) is a stack of values, marks in it, and a memo. Here its
GLOBAL pushes a Reference and its REDUCE a Call. What the real machine would refuse is refused, so that nothing can
hide after a place at which only this one goes on; an opcode that is not known is refused as well.
"""

from collections.abc import Callable, Mapping
from typing import Any

from services.registry.formats.pickles.cursor import Cursor, Malformed
from services.registry.formats.pickles.findings import Findings
from services.registry.formats.pickles.opcodes import OPCODES
from services.registry.formats.pickles.values import Blob, Call, PersistentId, Reference, Table, Value

_HIGHEST_PROTOCOL = 5
_MAX_NAME = 1024


class Machine:
    """One run of a pickle; ``persistent`` says what an id stands for that the pickle leaves to its loader."""

    def __init__(self, cursor: Cursor, findings: Findings, persistent: Callable[[Value], Value] = PersistentId) -> None:
        self._cursor = cursor
        self._findings = findings
        self._persistent = persistent
        self._stack: list[Value] = []
        self._marks: list[int] = []  # how high the stack was at each
        self._memo: dict[int, Value] = {}

    def run(self) -> Value:
        """What the pickle would build; the cursor is then behind its STOP.

        Raises:
            Malformed: it is none, or not one that the real machine runs to its end.
        """
        cursor, budget = self._cursor, self._cursor.budget
        try:
            while True:
                code = cursor.byte()
                if code not in OPCODES:
                    raise Malformed(f"there is no opcode {code:#04x}")
                name, argument = OPCODES[code]
                budget.steps -= 1
                if budget.steps < 0:
                    raise Malformed("it takes more steps than are spent on a pickle")
                if name == "STOP":
                    return self.pop()
                _ACTIONS[name](self, argument(cursor))
        except ValueError as error:
            raise Malformed(f"{error} (before byte {cursor.position})") from error

    # The stack.

    def push(self, value: Value) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def pop(self) -> Value:
        """Take the uppermost value off, but none from below a mark."""
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise Malformed("it takes what is not there")
        return self._stack.pop()

    def top(self) -> Value:
        """The uppermost value above the mark."""
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise Malformed("it takes what is not there")
        return self._stack[-1]

    def pop_to_mark(self) -> list[Value]:
        """Take off all values above the last mark, and the mark."""
        if not self._marks:
            raise Malformed("a mark is missing")
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def built(self, value: Value) -> None:
        """Push something that takes memory of its own."""
        self._spend()
        self._stack.append(value)

    def _spend(self, values: int = 1) -> None:
        self._cursor.budget.values -= values
        if self._cursor.budget.values < 0:
            raise Malformed("it has more values than are kept of a pickle")

    # What the opcodes do; the argument is what follows the opcode.

    def mark(self, _: Value) -> None:
        self._spend()
        self._marks.append(len(self._stack))

    def drop(self, _: Value) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self.pop()

    def drop_to_mark(self, _: Value) -> None:
        self.pop_to_mark()

    def again(self, _: Value) -> None:
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

    def memoize(self, _: Value) -> None:
        self.put(len(self._memo))

    def get(self, index: Any) -> None:
        if index not in self._memo:
            raise Malformed("it takes from the memo what was not put there")
        self.push(self._memo[index])

    # Containers.

    def empty_list(self, _: Value) -> None:
        self.built([])

    def empty_dict(self, _: Value) -> None:
        self.built(Table())

    def empty_tuple(self, _: Value) -> None:
        self.push(())

    def list_of_mark(self, _: Value) -> None:
        self.built(self.pop_to_mark())

    def tuple_of_mark(self, _: Value) -> None:
        self.built(tuple(self.pop_to_mark()))

    def dict_of_mark(self, _: Value) -> None:
        self.built(Table(self._pairs(self.pop_to_mark())))

    def tuple_of_1(self, _: Value) -> None:
        self.built((self.pop(),))

    def tuple_of_2(self, _: Value) -> None:
        last = self.pop()
        self.built((self.pop(), last))

    def tuple_of_3(self, _: Value) -> None:
        last, middle = self.pop(), self.pop()
        self.built((self.pop(), middle, last))

    def append(self, _: Value) -> None:
        value = self.pop()
        self._extend([value])

    def appends(self, _: Value) -> None:
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

    def set_item(self, _: Value) -> None:
        value = self.pop()
        self._set([self.pop(), value])

    def set_items(self, _: Value) -> None:
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

    def import_of_stack(self, _: Value) -> None:
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

    def persistent_of_stack(self, _: Value) -> None:
        self.built(self._persistent(self.pop()))

    def call(self, _: Value) -> None:
        arguments = self.pop()
        self._call(self.pop(), arguments)

    def call_with_names(self, _: Value) -> None:
        names, arguments = self.pop(), self.pop()
        self._call(self.pop(), arguments)
        if isinstance(names, Table) and names.pairs:
            self._findings.does("makes an object with named arguments")  # nothing that is safe is made so

    def call_inst(self, names: Any) -> None:
        arguments = tuple(self.pop_to_mark())
        self._import(*names)
        self._call(self.pop(), arguments)

    def call_obj(self, _: Value) -> None:
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

    def set_state(self, _: Value) -> None:
        state, target = self.pop(), self.top()
        if isinstance(target, Call):
            target.state = state
        else:
            self._findings.does("changes something that it did not make")

    def buffer(self, _: Value) -> None:
        self.built(Blob(0))

    def read_only(self, _: Value) -> None:
        self.top()


_ACTIONS: Mapping[str, Callable[[Machine, Value], None]] = {
    "PUSH": Machine.push,
    "MARK": Machine.mark,
    "POP": Machine.drop,
    "POP_MARK": Machine.drop_to_mark,
    "DUP": Machine.again,
    "PROTO": Machine.protocol,
    "FRAME": Machine.frame,
    "PUT": Machine.put,
    "MEMOIZE": Machine.memoize,
    "GET": Machine.get,
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
    "GLOBAL": Machine.import_,
    "STACK_GLOBAL": Machine.import_of_stack,
    "EXTENSION": Machine.import_extension,
    "PERSID": Machine.persistent_line,
    "BINPERSID": Machine.persistent_of_stack,
    "REDUCE": Machine.call,
    "NEWOBJ": Machine.call,
    "NEWOBJ_EX": Machine.call_with_names,
    "INST": Machine.call_inst,
    "OBJ": Machine.call_obj,
    "BUILD": Machine.set_state,
    "NEXT_BUFFER": Machine.buffer,
    "READONLY_BUFFER": Machine.read_only,
}
