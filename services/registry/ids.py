"""Ids that come in as text."""

import re

_WITHOUT_DASHES = re.compile(r"(m-)?([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether ``text`` is an id in the one form that the platform writes; nothing else can name a row."""
    return _ID.fullmatch(text) is not None


def as_id(text: str) -> str:
    """``text`` as an id where MLflow writes ids so (32 hex digits, of logged models after ``m-``), else as it is."""
    written = _WITHOUT_DASHES.fullmatch(text)
    return "-".join(written.groups()[1:]) if written else text
