"""Where artifacts may be imported from: places in object storage that the operator has listed (promise 15).

A place is a prefix, ``s3://models/`` or ``gs://team/models/``. Nothing that a user writes names a host: which service
answers for a scheme, and with which credentials, is told by the operator's environment alone (AWS_ENDPOINT_URL and the
like).
"""

import contextlib
import dataclasses
import urllib.parse
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import PurePosixPath

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore, from_url

from services.registry.artifacts.errors import SourceNotAllowed, SourceNotFound, SourceUnavailable

_SCHEMES = ("s3", "gs", "az")
_READ_BYTES = 2**20


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One object."""

    store: ObjectStore
    key: str

    @property
    def filename(self) -> str:
        """The last part of its key."""
        return PurePosixPath(self.key).name[:255]

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes, in order.

        Raises:
            SourceNotFound, SourceUnavailable
        """
        with _errors():
            found = await obstore.get_async(self.store, self.key)
            async for chunk in found.stream(min_chunk_size=_READ_BYTES):
                yield bytes(chunk)


class Sources:
    """The places that the operator has listed; an empty list allows nothing.

    Raises:
        ValueError: an entry is no place.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        self._prefixes = [_parsed(prefix) for prefix in prefixes]
        for prefix, (scheme, bucket, _) in zip(prefixes, self._prefixes, strict=True):
            if scheme not in _SCHEMES or not bucket or not prefix.endswith("/"):
                raise ValueError(f"{prefix!r} is no place: write s3://bucket/prefix/, gs://… or az://…, ending in /")

    def find(self, uri: str) -> Source:
        """The object that ``uri`` names.

        Raises:
            SourceNotAllowed: it is in none of the places.
        """
        scheme, bucket, key = _parsed(uri)
        segments = key.split("/")
        plain = all(segment not in ("", ".", "..") for segment in segments) and key.isprintable()
        for allowed_scheme, allowed_bucket, allowed_key in self._prefixes:
            if plain and (scheme, bucket) == (allowed_scheme, allowed_bucket) and key.startswith(allowed_key):
                return Source(_store(scheme, bucket), key)
        raise SourceNotAllowed


def _parsed(uri: str) -> tuple[str, str, str]:
    """Scheme, bucket and key."""
    try:
        parts = urllib.parse.urlsplit(uri)
    except ValueError as error:
        raise SourceNotAllowed from error
    if parts.query or parts.fragment:
        raise SourceNotAllowed
    return parts.scheme, parts.netloc, parts.path.removeprefix("/")


def _store(scheme: str, bucket: str) -> ObjectStore:
    with _errors():
        return from_url(f"{scheme}://{bucket}")


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise SourceNotFound from error
    except BaseError as error:
        raise SourceUnavailable(retry_after_ms=1000) from error
