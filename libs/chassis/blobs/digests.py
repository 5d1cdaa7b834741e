"""What names a blob: the digest of its bytes, ``<scheme>:<64 lower-case hex digits>``."""

import enum
import hashlib
import re
from typing import Protocol, TypeAlias

import blake3

from headwater.errors import InvalidArgument

BytesLike: TypeAlias = bytes | memoryview

_DIGEST = re.compile(r"(sha256|blake3):[0-9a-f]{64}", re.ASCII)


class InvalidDigest(InvalidArgument):
    """Not a digest of the form ``sha256:<64 hex digits>`` or ``blake3:<64 hex digits>``."""

    reason = "INVALID_DIGEST"
    text = "A digest must look like sha256:<64 lower-case hex digits>, or blake3:<64 lower-case hex digits>."


class Scheme(enum.StrEnum):
    """How bytes are digested. Both are 256 bits wide and collision resistant."""

    SHA256 = "sha256"
    """What others know: for digests that users see."""
    BLAKE3 = "blake3"
    """Several times as fast: for large files that only the service names."""


class Hasher(Protocol):
    """A digest on its way."""

    def update(self, data: BytesLike, /) -> object:
        """Take the next bytes, without the interpreter's lock when they are many."""
        ...

    def hexdigest(self) -> str:
        """The digest of what was taken so far."""
        ...


def hasher(scheme: Scheme) -> Hasher:
    """Of no bytes yet."""
    if scheme is Scheme.SHA256:
        return hashlib.sha256()
    return blake3.blake3()


def check_digest(digest: str) -> str:
    """Return ``digest`` if it is well formed, or raise InvalidDigest."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidDigest
    return digest


def scheme_of(digest: str) -> Scheme:
    """How a well-formed digest was made; InvalidDigest for any other."""
    return Scheme(check_digest(digest).partition(":")[0])


def key_of(digest: str) -> str:
    """The relative path ``sha256/ab/abcdef…`` of a well-formed digest; InvalidDigest for any other."""
    scheme, _, hexadecimal = check_digest(digest).partition(":")
    return f"{scheme}/{hexadecimal[:2]}/{hexadecimal}"
