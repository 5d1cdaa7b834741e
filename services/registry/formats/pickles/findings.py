"""Collects what the pickles of a file would import and do, and says what of it is unsafe."""

from collections.abc import Callable

from services.registry.formats.facts import Global
from services.registry.formats.pickles import allowed, numpy_arrays
from services.registry.formats.pickles.values import Call, Reference, Value

MAX_GLOBALS = 10_000
MAX_PROBLEMS = 50
_MAX_NAME = 255


class Findings:
    """What was found so far.

    Args:
        also_safe: whether a module and name that are not safe for everybody are so in this kind of file.
    """

    def __init__(self, also_safe: Callable[[str, str], bool] | None = None) -> None:
        self._also_safe = also_safe
        self._called: dict[tuple[str, str], bool] = {}
        self._others: dict[str, None] = {}

    def imports(self, reference: Reference) -> None:
        """The pickle would import this."""
        if len(self._called) < MAX_GLOBALS or reference.key in self._called:
            self._called.setdefault(reference.key, False)
        else:
            self.does(f"imports more than {MAX_GLOBALS} things")

    def calls(self, function: Value, arguments: tuple[Value, ...]) -> None:
        """The pickle would call this with these."""
        if not isinstance(function, Reference):
            what = f"what {printable('.'.join(function.key))} gave" if isinstance(function, Call) else "a value"
            self.does(f"calls {what}")
        elif function.key in self._called:
            self._called[function.key] = True
            self._look_into(function.key, arguments)

    def _look_into(self, function: tuple[str, str], arguments: tuple[Value, ...]) -> None:
        """Some of what is safe is so only with what it is usually given."""
        # Any other encoding than the one that old NumPy arrays need imports a module by its name.
        if function == ("_codecs", "encode") and arguments[1:] and arguments[1] not in _ENCODINGS:
            self.does("calls _codecs.encode with another encoding than latin1")
        elif function == _OF_SUBCLASS and len(arguments) >= 3:  # it calls the first with the third
            inner, given = arguments[0], arguments[2]
            if isinstance(given, tuple) and not (isinstance(inner, Reference) and inner.key == _OF_SUBCLASS):
                self.calls(inner, given)
            else:
                self.does("computes what it calls something with")
        elif numpy_arrays.is_unusual_call(function, arguments):
            self.does("makes a NumPy array in a way that NumPy does not write")

    def does(self, what: str) -> None:
        """The pickle would do this, a few words for people, which is not safe."""
        if len(self._others) < MAX_PROBLEMS:
            self._others.setdefault(what)

    def add(self, other: "Findings") -> None:
        """Take over what was found in a part of the file."""
        for key, called in other._called.items():
            self.imports(Reference(*key))
            self._called[key] = self._called.get(key, False) or called
        for what in other._others:
            self.does(what)

    def globals(self) -> list[Global]:
        """All that would be imported, in the order of the file."""
        return [
            Global(printable(f"{module}.{name}"), called, self._is_safe(module, name))
            for (module, name), called in self._called.items()
        ]

    def problems(self) -> list[str]:
        """What is unsafe, for people."""
        unsafe = [each for each in self.globals() if not each.safe]
        told = [f"Loading it {'calls' if each.called else 'imports'} {each.name}." for each in unsafe[:MAX_PROBLEMS]]
        if len(unsafe) > MAX_PROBLEMS:
            told.append(f"Loading it imports {len(unsafe) - MAX_PROBLEMS} more things that are not known to be safe.")
        return told + [f"Loading it {what}." for what in self._others]

    def _is_safe(self, module: str, name: str) -> bool:
        return (module, name) in allowed.SAFE or (self._also_safe is not None and self._also_safe(module, name))


_ENCODINGS = ("latin1", "latin-1")
_OF_SUBCLASS = ("torch._tensor", "_rebuild_from_type_v2")


def printable(text: str, longest: int = _MAX_NAME) -> str:
    """The text as it can be stored and shown: no control characters, no halves of characters, not too long."""
    shown = text[:longest]
    return shown if shown.isprintable() else shown.encode("unicode-escape").decode("ascii")[:longest]
