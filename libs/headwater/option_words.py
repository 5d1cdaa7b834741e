"""Options as people write them → as the API's JSON has them, with complaints that say where and what else there is.

    spelled({"batching": {"max_delay": "5ms"}}, Deployment.DESCRIPTOR)     # {"batching": {"max_delay": "0.005s"}}

Beside what the JSON form of protobuf allows: times with another unit than seconds (``5ms``, ``1.5m``, ``2h``), and the
names of an enumeration without what they all begin with, in any case (``bf16`` for ``AUTOCAST_BF16``).
"""

import decimal
import re
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from headwater.errors import InvalidArgument

_SECONDS: Final = {
    unit: decimal.Decimal(text) for unit, text in (("ms", "0.001"), ("s", "1"), ("m", "60"), ("h", "3600"))
}
_TIME: Final = re.compile(r"(-?[0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h)", re.ASCII)
_DIGITS: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NANOSECOND: Final = decimal.Decimal("0.000000001")
_INTEGERS: Final = (
    *(FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64),
    *(FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64),
)
_NUMBERS: Final = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)


def spelled(options: Any, message: Descriptor, where: str = "") -> dict[str, Any]:
    """``options`` in the form that ``google.protobuf.json_format`` reads as ``message``.

    Raises:
        InvalidArgument: a name is none of the message's, or a value is of another kind than its option.
    """
    if not isinstance(options, Mapping):
        raise _wrong(where, "must hold options by name", options)
    fields = {field.name: field for field in message.fields}
    names = {field.json_name: field.name for field in message.fields}
    found = {}
    for key, value in options.items():
        name = names.get(key, key)
        at = f"{where}.{name}" if where else str(name)
        if name not in fields:
            raise InvalidArgument(f"{at}: there is no such option; there are {', '.join(fields)}.", field=at)
        if name in found:
            raise InvalidArgument(f"{at} comes twice.", field=at)
        found[name] = value if value is None else _field(fields[name], value, at)
    return found


def _field(field: FieldDescriptor, value: Any, at: str) -> Any:
    if not field.is_repeated:
        return _one(field, value, at)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return value
    if not isinstance(value, list | tuple):
        raise _wrong(at, "must be a list", value)
    return [_one(field, each, f"{at}[{position}]") for position, each in enumerate(value)]


def _one(field: FieldDescriptor, value: Any, at: str) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Duration":
            return _time(value, at)
        return spelled(value, field.message_type, at)
    if field.enum_type is not None:
        return _name(field.enum_type, value, at)
    kind = field.cpp_type
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in _INTEGERS and not (isinstance(value, int) and is_number) and not _is_digits(value):
        raise _wrong(at, "must be a whole number", value)
    if kind in _NUMBERS and not is_number:
        raise _wrong(at, "must be a number", value)
    if kind == FieldDescriptor.CPPTYPE_BOOL and not isinstance(value, bool):
        raise _wrong(at, "must be true or false", value)
    if kind == FieldDescriptor.CPPTYPE_STRING and not isinstance(value, str):
        raise _wrong(at, "must be a text", value)
    return value


def _is_digits(value: object) -> bool:
    """As the API's JSON writes numbers that JavaScript would round."""
    return isinstance(value, str) and _DIGITS.fullmatch(value) is not None


def _time(value: object, at: str) -> str:
    written = _TIME.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        raise _wrong(at, "must be a time with its unit, such as 5ms, 2s, 1m or 1h", value)
    seconds = decimal.Decimal(written[1]) * _SECONDS[written[2]]
    return f"{seconds.quantize(_NANOSECOND).normalize():f}s"


def _name(names: EnumDescriptor, value: object, at: str) -> str:
    common = names.values[0].name.removesuffix("UNSPECIFIED")
    known = [each.name for each in names.values]
    if isinstance(value, str):
        for name in (value, f"{common}{value}".upper()):
            if name in known:
                return name
    short = ", ".join(name.removeprefix(common).lower() for name in known[1:])
    raise _wrong(at, f"must be one of {short}", value)


def _wrong(at: str, problem: str, value: object) -> InvalidArgument:
    shown = repr(value)
    return InvalidArgument(f"{at} {problem}; it is {shown if len(shown) <= 80 else shown[:80] + '…'}.", field=at)
