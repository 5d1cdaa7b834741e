"""What every noun's convert.py needs: who asks, times, ids, free values, and the limits of texts."""

import datetime
import math
from collections.abc import Collection, Mapping

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import InvalidArgument
from services.registry.origin import Origin
from services.registry.values import MAX_DEPTH, Json

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_INFINITE = (datetime.datetime.min.replace(tzinfo=datetime.UTC), datetime.datetime.max.replace(tzinfo=datetime.UTC))
MAX_DESCRIPTION = 32_768
MAX_DISPLAY_NAME = 255
MAX_TAG = 8192  # MLflow's clients write tags of 8,000 characters
_MAX_PAIRS = 256
_MAX_KEY = 255
_MAX_TEXT = 4096
_MAX_VALUE_BYTES = 65_536


class InvalidField(InvalidArgument):
    """A field has a value that it cannot have; the metadata names it."""

    reason = "INVALID_FIELD"


def origin(request: Message, request_id: str = "") -> Origin:
    """Who asks, and by which request; the method is named by its request, ``CreateRunRequest``."""
    return Origin(
        actor=current_principal().subject,
        method=request.DESCRIPTOR.full_name,
        request_id=request_id,
        body_digest=body_digest(request) if request_id else "",
    )


def uuid(value: str, kind: artifact_pb2.UUID.Type.ValueType) -> artifact_pb2.UUID | None:
    """The id as a message; None for the empty id."""
    return artifact_pb2.UUID(value=value, type=kind) if value else None


def timestamp(time: datetime.datetime | None) -> Timestamp | None:
    """The time as a message, to the microsecond."""
    if time is None:
        return None
    # As FromDatetime does, in a third of the time: some answers have thousands of them.
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def refuse_other_fields(message: Message, allowed: Collection[str], what: str) -> None:
    """Go on if only ``allowed`` fields are set, so that nothing the caller says is silently dropped.

    Raises:
        InvalidField: naming the first field that may not be set here.
    """
    for field, _value in message.ListFields():
        if field.name not in allowed:
            raise InvalidField(f"{what}.{field.name} cannot be set here.", field=f"{what}.{field.name}")


def text(value: str, field: str, max_length: int) -> str:
    """``value`` if it has at most ``max_length`` characters, else InvalidField."""
    if len(value) > max_length:
        raise InvalidField(f"{field} may have at most {max_length} characters.", field=field)
    return value


def time(message: Timestamp, field: str) -> datetime.datetime:
    """The time to the microsecond, or raise InvalidField: it lies outside the years 1 to 9999, or is the first or last
    moment of them, which the database's driver takes for infinite."""
    try:
        time = message.ToDatetime(tzinfo=datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidField(f"{field} must lie in the years 1 to 9999.", field=field) from error
    if time in _INFINITE:
        raise InvalidField(f"{field} must lie in the years 1 to 9999, and not at their edge.", field=field)
    return time


def pairs(values: Mapping[str, str], field: str, max_length: int = _MAX_TEXT) -> dict[str, str]:
    """Free key-value pairs, if they are few and short enough, else InvalidField."""
    if len(values) > _MAX_PAIRS:
        raise InvalidField(f"{field} may have at most {_MAX_PAIRS} entries.", field=field)
    for key, value in values.items():
        _check_key(key, field)
        text(value, f"{field}[{key}]", max_length)
    return dict(values)


def values_from_proto(values: Mapping[str, Value], field: str) -> dict[str, Json]:
    """Free values by name, as plain Python values.

    Raises:
        InvalidField: a name or value is too long, or a number is NaN or infinite (JSON has no such numbers).
    """
    for key, value in values.items():
        _check_key(key, field)
        if value.ByteSize() > _MAX_VALUE_BYTES:
            raise InvalidField(f"{field}[{key}] may have at most {_MAX_VALUE_BYTES} bytes.", field=field)
    return {key: value_from_proto(value, f"{field}[{key}]") for key, value in values.items()}


def value_to_proto(value: Json) -> Value:
    """A plain Python value as a message."""
    match value:
        case None:
            return Value(null_value=0)  # type: ignore[arg-type]  # NULL_VALUE, an enum of one
        case bool():
            return Value(bool_value=value)
        case int() | float():
            return Value(number_value=value)
        case str():
            return Value(string_value=value)
        case list():
            return Value(list_value=ListValue(values=[value_to_proto(item) for item in value]))
        case dict():
            return Value(struct_value=Struct(fields={key: value_to_proto(item) for key, item in value.items()}))


def values_to_proto(values: Mapping[str, Json]) -> dict[str, Value]:
    """The other way of :func:`values_from_proto`."""
    return {key: value_to_proto(value) for key, value in values.items()}


def value_from_proto(value: Value, field: str, room: int = MAX_DEPTH) -> Json:
    """The other way of :func:`value_to_proto`; ``room`` is for how many lists and objects within each other.

    Raises:
        InvalidField: it is no JSON: a number that is NaN or infinite, or no value at all; or it is nested too deeply.
    """
    if not room and value.WhichOneof("kind") in ("list_value", "struct_value"):
        raise InvalidField(f"{field} may have at most {MAX_DEPTH} lists and objects within each other.", field=field)
    match value.WhichOneof("kind"):
        case "number_value":
            if not math.isfinite(value.number_value):
                raise InvalidField(f"{field} must be a finite number.", field=field)
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [value_from_proto(item, field, room - 1) for item in value.list_value.values]
        case "struct_value":
            return {key: value_from_proto(item, field, room - 1) for key, item in value.struct_value.fields.items()}
        case "null_value":
            return None
        case _:
            raise InvalidField(f"{field} has no value.", field=field)


def _check_key(key: str, field: str) -> None:
    if not 0 < len(key) <= _MAX_KEY:
        raise InvalidField(f"A key of {field} must have 1 to {_MAX_KEY} characters.", field=field)
