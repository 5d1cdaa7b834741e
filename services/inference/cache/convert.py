"""A deployment's cache between protobuf and the domain. 0 stands for a default; what is shown is what holds."""

from headwater.inference.v1 import caching_pb2
from services.inference.cache.options import DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES, Caching


def caching_from_proto(message: caching_pb2.Caching) -> Caching:
    """Whether and how answers are to be kept."""
    return Caching(
        message.enabled,
        message.max_bytes or DEFAULT_MAX_BYTES,
        message.max_entries or DEFAULT_MAX_ENTRIES,
        message.ttl.ToNanoseconds() / 1e9,
    )


def caching_to_proto(caching: Caching) -> caching_pb2.Caching:
    """The same as the API shows it."""
    message = caching_pb2.Caching(enabled=caching.enabled, max_bytes=caching.max_bytes, max_entries=caching.max_entries)
    if caching.ttl_s:
        message.ttl.FromNanoseconds(round(caching.ttl_s * 1e9))
    return message
