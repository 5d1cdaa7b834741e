"""Decompresses the beginning of a gzip file (RFC 1952). There is no way to its end but through all of it."""

import zlib
from typing import NamedTuple

from services.registry.formats.content import Content
from services.registry.formats.facts import InvalidModelFile

_STEP = 2**18
_MAX_STREAMS = 2000  # each costs a copy of what is left of a step


class Beginning(NamedTuple):
    """The first bytes of what is compressed, and whether they are all."""

    content: bytes
    complete: bool


def begins_like_it(content: Content) -> bool:
    """Whether the content begins as gzip does, by deflate."""
    return content.size >= 18 and bytes(content.read(0, 3)) == b"\x1f\x8b\x08"


def beginning(content: Content, most: int) -> Beginning:
    """At most the first ``most`` bytes of what is compressed, out of at most as many.

    Raises:
        InvalidModelFile: it cannot be decompressed, or something else follows.
    """
    inflater, plain, position, streams = zlib.decompressobj(zlib.MAX_WBITS | 16), bytearray(), 0, 1
    limit = min(content.size, most)
    while position < limit and len(plain) < most:
        step = bytes(content.read(position, min(_STEP, limit - position)))
        position += len(step)
        while step and len(plain) < most:
            if inflater.eof:  # what several gzip files give, one after the other, belongs together
                streams += 1
                if streams > _MAX_STREAMS:
                    raise _invalid("it has too many parts")
                inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                plain += inflater.decompress(step, most - len(plain))
            except zlib.error as error:
                raise _invalid("it cannot be decompressed") from error
            step = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    at_end = position == content.size and inflater.eof and not inflater.unused_data
    if position == content.size and not inflater.eof and len(plain) < most:
        raise _invalid("it is cut off")
    return Beginning(bytes(plain), at_end)


def _invalid(what: str) -> InvalidModelFile:
    return InvalidModelFile(f"Not a valid gzip file: {what}.", format="gzip")
