"""Values that are kept as JSON, and are read and changed by replicas of two releases at once."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from headwater.errors import FailedPrecondition

T = TypeVar("T")


class OfLaterRelease(FailedPrecondition):
    """What is kept has a form, or a value, that this release does not know."""

    reason = "OF_LATER_RELEASE"
    text = "What is kept cannot be understood by this release; a later one has written it."


class Kept(Generic[T]):
    """Dataclasses of one kind as JSON. What an older release did not know has its default, and what a later one has
    added is not seen; see :meth:`over` for keeping it. ``without`` names fields that are kept elsewhere."""

    def __init__(self, kind: type[T], *, without: frozenset[str] = frozenset()) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._without = set(without)

    def load(self, kept: Mapping[str, Any]) -> T:
        """The value.

        Raises:
            OfLaterRelease: it says what this release does not understand.
        """
        try:
            return self._adapter.validate_python(kept)
        except ValidationError as error:
            where = ".".join(str(each) for each in error.errors(include_input=False)[0]["loc"])
            raise OfLaterRelease(at=where) from error

    def dump(self, value: T) -> Mapping[str, Any]:
        """The inverse."""
        dumped: Mapping[str, Any] = self._adapter.dump_python(value, mode="json", exclude=self._without)
        return dumped

    def over(self, kept: Mapping[str, Any], value: T) -> Mapping[str, Any]:
        """``value``, to be kept in the place of ``kept``: what that says and this release does not know stays."""
        merged: Mapping[str, Any] = _merged(kept, self.dump(self.load(kept)), self.dump(value))
        return merged


def _merged(kept: Any, known: Any, new: Any) -> Any:
    """``new`` in the place of ``kept``, of which this release knows what is ``known``."""
    if new == known:
        return kept
    if isinstance(kept, dict) and isinstance(new, dict):
        unknown = {key: value for key, value in kept.items() if key not in known}
        return unknown | {key: _merged(kept[key], known[key], new[key]) if key in kept else new[key] for key in new}
    if isinstance(kept, list) and isinstance(new, list) and len(kept) == len(known):
        return _merged_items(kept, known, new)
    return new


def _merged_items(kept: list[Any], known: list[Any], new: list[Any]) -> list[Any]:
    """An item that was there stays as it was, wherever it is now: others may have been put before it or taken out."""
    left = [pair for pair in zip(known, kept, strict=True) if isinstance(pair[1], dict)]  # others have no fields
    merged = []
    for item in new:
        place = next((place for place, (before, _) in enumerate(left) if before == item), None)
        merged.append(item if place is None else left.pop(place)[1])
    return merged
