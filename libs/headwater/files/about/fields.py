"""Reading the fields of a document one after the other, so that what is left at the end is unknown."""

import datetime
import difflib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from headwater.files.about.model import DocumentInvalid
from headwater.names import InvalidName

MAX_TEXT = 32768
MAX_INTEGER = 2**63 - 1


class Fields:
    """The fields of one object of a document."""

    def __init__(self, values: Any, document: str, path: str = "") -> None:
        self.document = document
        self._path = path
        if not isinstance(values, dict):
            self.fail("", "must be an object")
        self._values: Mapping[str, Any] = values
        self._known: list[str] = []

    def text(self, name: str, check: Callable[[str], str] = str, max_length: int = MAX_TEXT) -> str:
        """A text; empty when the field is absent or null."""
        value = self._take(name)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > max_length:
            self.fail(name, f"must be a text of at most {max_length} characters")
        try:
            return check(value)
        except InvalidName as error:
            self.fail(name, f"is {value[:100]!r}: {error.message}")
        except ValueError as error:
            self.fail(name, f"is {value[:100]!r}: {error}")

    def count(self, name: str) -> int | None:
        """A number that is not negative."""
        value = self._take(name)
        if value is not None and (type(value) is not int or not 0 <= value <= MAX_INTEGER):
            self.fail(name, "must be a whole number that is not negative")
        return value

    def objects(self, name: str) -> list["Fields"]:
        """A list of objects."""
        values = self._take(name) or []
        if not isinstance(values, list):
            self.fail(name, "must be a list")
        return [Fields(value, self.document, f"{self._path}{name}[{at}].") for at, value in enumerate(values)]

    def object(self, name: str) -> "Fields":
        """An object; an absent one has no fields."""
        value = self._take(name)
        return Fields({} if value is None else value, self.document, f"{self._path}{name}.")

    def counts(self, name: str, most: int) -> tuple[int, ...]:
        """A list of positive numbers."""
        values = self._take(name) or []
        if not isinstance(values, list) or len(values) > most:
            self.fail(name, f"must be a list of at most {most} numbers")
        if any(type(value) is not int or not 0 < value < 2**31 for value in values):
            self.fail(name, "must hold whole numbers above 0")
        return tuple(values)

    def done(self) -> None:
        """Raise DocumentInvalid for the first field that nobody asked for."""
        for name in self._values:
            if name not in self._known:
                near = difflib.get_close_matches(str(name), self._known, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(self._known)}."
                self.fail(str(name)[:100], f"is not known{hint}", end="")

    def fail(self, name: str, why: str, end: str = ".") -> NoReturn:
        """Raise DocumentInvalid naming a field."""
        field = f"{self._path}{name}".rstrip(".")
        raise DocumentInvalid(f"{self.document}: {field or 'it'} {why}{end}", field=field)

    def _take(self, name: str) -> Any:
        self._known.append(name)
        return self._values.get(name)


def moment(text: str) -> str:
    """The text, if it is a date or a time as ISO 8601 and RFC 3339 have them; else ValueError."""
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("it must be a date or a time, such as 2025-01-02T09:00:00Z") from None
    return text
