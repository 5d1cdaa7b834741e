"""Requests are parsed and checked before a servicer sees them: malformed bytes, NUL in texts, protovalidate's rules."""

import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from buf.validate import validate_pb2
from headwater.errors import InvalidArgument

_FEW = 16  # messages that are quicker looked at one by one
_validator = protovalidate.Validator()


class MalformedMessage(InvalidArgument):
    """The bytes are not a message of the method's request type (or nest too deep)."""

    reason = "MALFORMED_MESSAGE"
    text = "The request cannot be parsed."


class InvalidFields(InvalidArgument):
    """Fields that break the rules written in the proto; ``violations`` names each one."""

    reason = "INVALID_FIELDS"

    def __init__(self, violations: list[tuple[str, str]]) -> None:
        self.violations = violations
        listed = "; ".join(f"{field}: {description}" for field, description in violations[:3])
        super().__init__(f"The request is not valid: {listed}{'; …' if len(violations) > 3 else ''}.")


def parse(deserialize: Callable[[bytes], Message], raw: bytes | memoryview) -> Message:
    """The request in ``raw``, valid.

    Raises:
        MalformedMessage: ``raw`` is not such a message.
        InvalidFields: it breaks a rule of its proto, or a text has a NUL (which PostgreSQL cannot hold). What the proto
            leaves to the service is not looked at.
    """
    raw = bytes(raw)  # of bytes no copy; protobuf would make one of anything else
    try:
        message = deserialize(raw)
    except DecodeError as error:
        raise MalformedMessage() from error
    if b"\x00" in raw and (fields := _texts_with_nul([message], "")):
        raise InvalidFields([(field, "must not contain NUL") for field in fields])
    if _has_rules(message.DESCRIPTOR) and (violations := _validator.collect_violations(message)):
        raise InvalidFields([_describe(violation) for violation in violations])
    return message


def check_rules(request: Message) -> None:
    """Compile the rules of this request type; a rule that does not compile raises here and not at the first call."""
    _validator.collect_violations(request)


def _describe(violation: protovalidate.Violation) -> tuple[str, str]:
    proto = violation.proto
    path = ""
    for element in proto.field.elements if proto.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    return path, proto.message or proto.rule_id


def _texts_with_nul(messages: Sequence[Message], path: str) -> list[str]:
    """The fields of these messages, which are of one type, in which a text has a NUL."""
    if len(messages) > _FEW:
        return _in_many_with_nul(messages, path)
    found: list[str] = []
    for message in messages:
        textual = _text_fields_by_number(message.DESCRIPTOR)
        for field, value in message.ListFields():
            if field.number in textual:
                found += _value_with_nul(field, value, f"{path}.{field.name}" if path else field.name)
    return found


def _value_with_nul(field: FieldDescriptor, value: Any, name: str) -> list[str]:
    if field.message_type is None:
        return [name] if "\x00" in ("".join(value) if field.is_repeated else value) else []
    if field.message_type.GetOptions().map_entry:
        return _map_with_nul(value, name)
    return _texts_with_nul(value if field.is_repeated else [value], name)


def _in_many_with_nul(messages: Sequence[Message], path: str) -> list[str]:
    """Looked at field by field and not message by message: of many points the keys are one text."""
    found: list[str] = []
    for field in _text_fields(messages[0].DESCRIPTOR):
        name = f"{path}.{field.name}" if path else field.name
        if field.message_type and field.message_type.GetOptions().map_entry:
            for message in messages:
                found += _map_with_nul(getattr(message, field.name), name)
        elif field.message_type:
            found += _texts_with_nul(_inner(messages, field), name)
        elif "\x00" in "".join(_texts(messages, field)):
            found.append(name)
    return found


def _inner(messages: Sequence[Message], field: FieldDescriptor) -> list[Message]:
    """The messages in a field, where it is set."""
    if field.is_repeated:
        return [item for message in messages for item in getattr(message, field.name)]
    return [getattr(message, field.name) for message in messages if message.HasField(field.name)]


def _texts(messages: Sequence[Message], field: FieldDescriptor) -> Iterable[str]:
    """The texts in a field."""
    values = map(operator.attrgetter(field.name), messages)
    return itertools.chain.from_iterable(values) if field.is_repeated else values


def _map_with_nul(entries: object, name: str) -> list[str]:
    found: list[str] = []
    assert hasattr(entries, "items")
    for key, value in entries.items():
        if "\x00" in str(key) or (isinstance(value, str) and "\x00" in value):
            found.append(name)
        elif isinstance(value, Message):
            found += _texts_with_nul([value], name)
    return found


@cache
def _text_fields(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields in which a text can be: only those are walked, since zero bytes are common in numbers and tensors."""
    return tuple(field for field in descriptor.fields if _holds_text(field, frozenset()) and not _is_left_out(field))


@cache
def _text_fields_by_number(descriptor: Descriptor) -> frozenset[int]:
    return frozenset(field.number for field in _text_fields(descriptor))


@cache
def _has_rules(descriptor: Descriptor) -> bool:
    """Whether messages of this type, or some that they may hold, have rules: protos that are not ours have none."""
    return _any_has_rules(descriptor, set())


def _any_has_rules(descriptor: Descriptor, seen: set[str]) -> bool:
    if descriptor.full_name in seen:
        return False
    seen.add(descriptor.full_name)
    if descriptor.GetOptions().HasExtension(validate_pb2.message):
        return True
    if any(oneof.GetOptions().HasExtension(validate_pb2.oneof) for oneof in descriptor.oneofs):
        return True
    return any(
        field.GetOptions().HasExtension(validate_pb2.field)
        or (field.message_type is not None and _any_has_rules(field.message_type, seen))
        for field in descriptor.fields
    )


def _is_left_out(field: FieldDescriptor) -> bool:
    """Whether the proto leaves the field to the service (``IGNORE_ALWAYS``): it then looks for NUL itself."""
    rules: validate_pb2.FieldRules = field.GetOptions().Extensions[validate_pb2.field]
    return rules.ignore == validate_pb2.IGNORE_ALWAYS


def _holds_text(field: FieldDescriptor, above: frozenset[str]) -> bool:
    if field.type == FieldDescriptor.TYPE_STRING:
        return True
    inner = field.message_type
    if inner is None or inner.full_name in above:
        return False
    return any(_holds_text(each, above | {inner.full_name}) for each in inner.fields)
