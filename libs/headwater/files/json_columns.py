"""A column of JSON values, each in a file of its own."""

import json
from typing import Any

import pyarrow as pa

from headwater.files.json_text import json_schema
from headwater.files.json_types import merged, type_of


class JsonColumn:
    """Told from the first values and checked from then on, unless its type is given."""

    def __init__(self, name: str, given: Any) -> None:
        """``given`` is the wanted type or None; a string keeps the texts."""
        self.is_told = given is None
        self.type: Any = pa.null() if given is None else json_schema(pa.schema([(name, given)])).field(0).type
        self._name = name
        self._keeps_text = given is not None and (pa.types.is_string(given) or pa.types.is_large_string(given))

    def tell(self, content: bytes) -> None:
        """Take one of the first values.

        Raises:
            ValueError: it cannot be in one column with those before it.
        """
        self.type = merged(self.type, type_of(_parsed(content), self._name, 0), self._name)

    def value(self, content: bytes) -> Any:
        """A value of the column's type.

        Raises:
            ValueError: it is not of that type, or no JSON.
        """
        value = _parsed(content)
        if self._keeps_text:
            return content.decode()
        if self.is_told:
            kind = merged(self.type, type_of(value, self._name, 0), self._name)
            if not kind.equals(self.type):
                raise ValueError(f"its type is {kind}, and that of the samples before it {self.type}")
        else:
            _check_fields(value, self.type, self._name)
        _check_value(value, self.type)
        return value


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content.decode())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _check_value(value: Any, kind: Any) -> None:
    try:
        pa.array([value], kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeError) as error:
        raise ValueError(str(error)) from error


def _check_fields(value: Any, kind: Any, path: str) -> None:
    """Arrow leaves out what a struct has no field for."""
    if isinstance(value, dict) and pa.types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        if unknown := value.keys() - fields.keys():
            raise ValueError(f"{path} has an unknown field {min(unknown)}")
        for name, inner in value.items():
            _check_fields(inner, fields[name], f"{path}.{name}")
    elif isinstance(value, list) and pa.types.is_list(kind):
        for inner in value:
            _check_fields(inner, kind.value_type, f"{path}[]")
