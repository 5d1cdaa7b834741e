"""Update masks (AIP-134): which fields an update is about."""

from collections.abc import Collection, Sequence

from google.protobuf.message import Message

from headwater.errors import InvalidArgument


class InvalidUpdateMask(InvalidArgument):
    """The mask names a field that cannot be changed, or does not exist."""

    reason = "INVALID_UPDATE_MASK"
    text = "The update mask names a field that cannot be changed."


def masked(message: Message, paths: Sequence[str], allowed: Collection[str]) -> list[str]:
    """The fields to set from ``message``: those of the mask; all for ``*``; without one, those not empty.

    Raises:
        InvalidUpdateMask: the mask has something beside ``allowed``.
    """
    if list(paths) == ["*"]:
        return list(allowed)
    if not paths:
        return [field.name for field, _ in message.ListFields() if field.name in allowed]
    for path in paths:
        if path not in allowed:
            raise InvalidUpdateMask(path=path, allowed=", ".join(sorted(allowed)))
    return list(paths)
