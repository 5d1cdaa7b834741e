"""Keyset paging (AIP-158): a page token is the sort key of the last row, bound to the query that it belongs to.

size = page_size(request.page_size)
query = query_digest(request.parent, request.filter)
after = decode_token(request.page_token, query, (int, str))     # None on the first page
rows = await tx.list_models(after=after, limit=size + 1)
return page_of(rows, size, key=lambda row: (row.created_us, row.id), query=query)
"""

import base64
import binascii
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from headwater.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_MAX_TOKEN_CHARACTERS = 4096

Key = tuple[str | int, ...]
T = TypeVar("T")


class InvalidPageToken(InvalidArgument):
    """The token was not given out by this method for this query."""

    reason = "INVALID_PAGE_TOKEN"
    text = "The page token does not belong to this query; begin again without one."


@dataclasses.dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items and, unless they are the last ones, the token of the next page."""

    items: Sequence[T]
    next_page_token: str = ""


def page_size(requested: int) -> int:
    """How many items to return: 0 means 50, more than 1000 means 1000.

    Raises:
        InvalidArgument: it is negative.
    """
    if requested < 0:
        raise InvalidArgument("page_size must not be negative.", field="page_size")
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def query_digest(*parts: object) -> str:
    """A short digest of everything that selects or orders the rows, so that a token cannot go to another query."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:16]


def encode_token(key: Key, query_digest: str) -> str:
    """The page token that continues after ``key``."""
    text = json.dumps([query_digest, *key], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, query_digest: str, types: tuple[type, ...] | None = None) -> Key | None:
    """The key to continue after; None for the empty token, that is, on the first page.

    ``types`` are the types of the key's parts; with them, a forged token is refused here and not by the database.

    Raises:
        InvalidPageToken: it is garbage, or belongs to another query.
    """
    if not token:
        return None
    try:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise InvalidPageToken()
        parts = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise InvalidPageToken() from error
    if not isinstance(parts, list) or not parts or parts[0] != query_digest:
        raise InvalidPageToken()
    key = tuple(parts[1:])
    if not all(_is_key_part(part) for part in key):
        raise InvalidPageToken()
    if types is not None and tuple(type(part) for part in key) != types:
        raise InvalidPageToken()
    return key


def page_of(rows: Sequence[T], size: int, *, key: Callable[[T], Key], query: str) -> Page[T]:
    """The page of ``size`` items out of ``rows``, of which one more was read to see whether there is a next page."""
    if len(rows) <= size:
        return Page(rows)
    return Page(rows[:size], encode_token(key(rows[size - 1]), query))


def _is_key_part(part: object) -> bool:
    if isinstance(part, str):  # PostgreSQL has no NUL in text, and half of a surrogate pair is no text at all
        return "\x00" not in part and not any("\ud800" <= character <= "\udfff" for character in part)
    return type(part) is int and -(2**63) <= part < 2**63
