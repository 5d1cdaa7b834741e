"""Tags of a run: set one by one, and in part taken over from its parent."""

from collections.abc import Collection, Mapping

from services.registry.runs.errors import TooManyTags
from services.registry.runs.model import INHERITED, MAX_SAID_BYTES, MAX_TAGS


def merged_tags(present: Mapping[str, str], new: Mapping[str, str], removed: Collection[str] = ()) -> dict[str, str]:
    """``present`` without ``removed``, and with ``new``, which wins.

    Raises:
        TooManyTags: more than MAX_TAGS, or than MAX_SAID_BYTES.
    """
    together = {**{key: value for key, value in present.items() if key not in removed}, **new}
    if len(together) > MAX_TAGS:
        raise TooManyTags(limit=MAX_TAGS)
    if sum(len(f"{key}{value}".encode()) for key, value in together.items()) > MAX_SAID_BYTES:
        raise TooManyTags("The tags of the run would be too long.", limit_bytes=MAX_SAID_BYTES)
    return together


def inherited(parent: Mapping[str, str]) -> dict[str, str]:
    """The tags that the children of a run with these tags begin with (M-31)."""
    return {key: value for key, value in parent.items() if key.startswith(INHERITED)}
