"""Names the tensors of what a pickle would build, as ``state_dict()`` would, and the layers that they belong to."""

from collections.abc import Iterator

from services.registry.formats.facts import MAX_TENSORS, Layer, Tensor
from services.registry.formats.pickles.findings import printable
from services.registry.formats.pickles.values import Call, Table, Value, members
from services.registry.formats.pytorch.tensors import Storages, invalid, tensor_of

_MAX_DEPTH = 64
_MAX_VISITS = 1_000_000
_MAX_NAME = 1024
_PERSISTENT_LATER = "_non_persistent_buffers_set"


class Named:
    """What was found below a value.

    Attributes:
        tensors: by name, in the order of the file.
        architecture: class of the outermost module; empty if there is none.
    """

    def __init__(self, value: Value, storages: Storages) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.architecture = ""
        self._kinds: dict[str, str] = {}
        self._storages = storages
        self._same: dict[str, int] = {}  # how many have this name
        self._visits = 0
        self._above: set[int] = set()  # what contains what is looked at
        self._visit(value, "", 0)

    def layers(self) -> list[Layer]:
        """All modules, and whatever else tensors are named after."""
        return [Layer(name, kind) for name, kind in self._kinds.items() if name]

    def _visit(self, value: Value, name: str, depth: int) -> None:
        self._visits += 1
        if self._visits > _MAX_VISITS or depth > _MAX_DEPTH:
            raise invalid("its values are nested too deep, or too many times over")
        tensor = tensor_of(value, self._storages)
        if tensor is not None:
            self._add(name, tensor)
            return
        if id(value) in self._above:
            return
        self._above.add(id(value))
        if isinstance(value, Call):
            self._note_class(value, name)
        for key, child in _children(value):
            if isinstance(child, Table | Call | list | tuple):
                self._visit(child, (f"{name}.{key}" if name else key)[:_MAX_NAME], depth + 1)
        self._above.discard(id(value))

    def _add(self, name: str, tensor: Tensor) -> None:
        alone = name = printable(name, _MAX_NAME)
        while name in self.tensors:
            self._same[alone] = self._same.get(alone, 1) + 1
            name = f"{alone} ({self._same[alone]})"
        self.tensors[name] = tensor._replace(name=name)
        self._kinds.setdefault(name.rpartition(".")[0], "")
        if len(self.tensors) > MAX_TENSORS:
            raise invalid(f"it has more than {MAX_TENSORS} tensors")

    def _note_class(self, value: Call, name: str) -> None:
        module, class_ = value.key
        if _is_module(value) or module.partition(".")[0] == "__torch__":
            self._kinds[printable(name, _MAX_NAME)] = printable(class_)
            self.architecture = self.architecture or printable(class_)


def _is_module(value: Call) -> bool:
    return {"_parameters", "_modules"} <= members(value.state).keys()


def _children(value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, list | tuple):
        yield from ((str(index), each) for index, each in enumerate(value))
    elif isinstance(value, Table):
        # A later value of the same key replaces the earlier one; keys that only read alike are two.
        last = {key if isinstance(key, str | int) else (index,): each for index, (key, each) in enumerate(value.pairs)}
        yield from ((str(key[0] if isinstance(key, tuple) else key), each) for key, each in last.items())
    elif isinstance(value, Call) and _is_module(value):
        yield from _children_of_module(members(value.state))
    elif isinstance(value, Call):
        yield from _children(value.table)
        if value.key != ("collections", "OrderedDict"):  # which has _metadata besides its items
            states = value.state if isinstance(value.state, tuple) else (value.state,)
            yield from (pair for state in states if isinstance(state, Table) for pair in _children(state))


def _children_of_module(state: dict[str, Value]) -> Iterator[tuple[str, Value]]:
    left_out = _set_of(state.get(_PERSISTENT_LATER))
    yield from _children(_table(state.get("_parameters")))
    yield from (pair for pair in _children(_table(state.get("_buffers"))) if pair[0] not in left_out)
    yield from _children(_table(state.get("_modules")))


def _table(value: Value) -> Table:
    return value if isinstance(value, Table) else value.table if isinstance(value, Call) else Table()


def _set_of(value: Value) -> set[str]:
    items = value.arguments[0] if isinstance(value, Call) and value.arguments else value
    return {each for each in items if isinstance(each, str)} if isinstance(items, list | tuple) else set()
