"""SHA-256 digests and the text they are written as: ``sha256:`` and 64 lower-case hex digits."""

import re

from headwater.errors import InvalidArgument

_TEXT = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class InvalidDigest(InvalidArgument):
    """The text is not ``sha256:`` and 64 lower-case hex digits."""

    reason = "INVALID_DIGEST"
    text = "Not a valid digest."


def digest_text(digest: bytes) -> str:
    """The text of a 32-byte digest."""
    return f"sha256:{digest.hex()}"


def parse_digest(text: str, field: str = "digest") -> bytes:
    """The 32 bytes that ``text`` stands for, or InvalidDigest naming ``field``."""
    if not _TEXT.fullmatch(text):
        raise InvalidDigest(f"{field} must be sha256: and 64 lower-case hex digits.", field=field)
    return bytes.fromhex(text.removeprefix("sha256:"))
