"""Ids that come in as text."""

import re

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether ``text`` is an id in the one form that the platform writes; nothing else can name a row."""
    return _ID.fullmatch(text) is not None
