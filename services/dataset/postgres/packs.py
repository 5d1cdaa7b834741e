"""What packs are called in the database: 32 bytes of SHA-256, or BLAKE3 as a multihash (code, length, digest)."""

from headwater.tree import DIGEST_BYTES

_SHA256, _BLAKE3 = "sha256", "blake3"
_BLAKE3_PREFIX = b"\x1e\x20"


def pack_key(pack: str) -> bytes:
    """The key of the pack whose blob is called ``pack``."""
    scheme, _, hexadecimal = pack.partition(":")
    prefix = {_SHA256: b"", _BLAKE3: _BLAKE3_PREFIX}[scheme]
    return prefix + bytes.fromhex(hexadecimal)


def pack_name(key: bytes) -> str:
    """The inverse of ``pack_key``."""
    scheme = _SHA256 if len(key) == DIGEST_BYTES else _BLAKE3
    return f"{scheme}:{key[-DIGEST_BYTES:].hex()}"
