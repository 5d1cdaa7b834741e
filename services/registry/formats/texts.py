"""Texts that files bring, as they can be kept."""

import re
from typing import Any

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and halves of characters, which JSON can say


def storable(value: Any, longest: int = 255) -> str:
    """``value``, cut at ``longest`` characters and without those that cannot be stored; empty if it is no text."""
    return _UNSTORABLE.sub("", value[:longest]) if isinstance(value, str) else ""
