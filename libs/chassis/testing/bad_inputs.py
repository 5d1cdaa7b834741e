"""The bad inputs that every service tries in its own tests (docs: what Headwater promises, "Bad inputs").

Each table maps a description, good as a test id, to a value that must be refused with a clean error:

    @pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
"""

import base64
import json
import math
import time

from chassis.auth import Authenticator, Role

BAD_NAMES: dict[str, str] = {
    "empty": "",
    "dot": ".",
    "parent": "..",
    "climbing": "a/../b",
    "climbing out": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "backslashes": "..\\..\\a",
    "leading slash": "/a",
    "trailing slash": "a/",
    "inner slash": "a/b",
    "percent-encoded": "%2e%2e",
    "twice percent-encoded": "%252e%252e%252f",
    "256 characters": "a" * 256,
    "1025 bytes": "a" * 1025,
    "NUL": "a\0b",
    "newline": "a\nb",
    "trailing newline": "a\n",
    "leading dash": "-rf",
    "leading dot": ".hidden",
    "leading underscore": "_a",
    "space": "a b",
    "only a space": " ",
    "composed (NFC)": "caf\u00e9",
    "decomposed (NFD)": "cafe\u0301",
    "Cyrillic twin": "m\u043edel",
    "full-width twin": "\uff4dodel",
    "Arabic digit": "model\u0661",
    "right-to-left override": "a\u202eb",
    "zero-width space": "a\u200bb",
    "emoji": "\U0001f600",
    "SQL": "a'; DROP TABLE models; --",
    "LIKE wildcard": "a%",
    "glob": "*",
    "shell": "$(touch x)",
    "markup": "<script>alert(1)</script>",
}
"""What a user may not call anything."""

GOOD_NAMES: dict[str, str] = {
    "one letter": "a",
    "one digit": "0",
    "capitals": "ResNet50",
    "dash and underscore": "a-b_c",
    "255 characters": "a" * 255,
}
"""What a user may call things, so that no rule is stricter than promised."""

BAD_DIGESTS: dict[str, str] = {
    "no algorithm": 64 * "0",
    "another algorithm": "md5:" + 32 * "0",
    "too short": "sha256:" + 63 * "0",
    "too long": "sha256:" + 65 * "0",
    "capitals": "sha256:" + 64 * "A",
    "not hexadecimal": "sha256:" + 64 * "g",
    "trailing newline": "sha256:" + 64 * "0" + "\n",
    "a path": "sha256:../../../../etc/passwd",
    "digits of another alphabet": "sha256:" + 64 * "\u0661",
}
"""What is no digest."""

BAD_PAGE_TOKENS: dict[str, str] = {
    "garbage": "garbage",
    "not base64": "***",
    "base64 of nothing of ours": base64.urlsafe_b64encode(b'{"offset": 10}').decode(),
    "NUL": "\0",
    "long": "A" * 100_000,
}
"""Page tokens that no List call gave."""

BAD_QUANTITIES: dict[str, float] = {
    "negative": -1.0,
    "not a number": math.nan,
    "infinite": math.inf,
    "absurd": 1e12,
}
"""Resources that no machine has."""

BAD_ENVIRONMENTS: dict[str, tuple[str, str]] = {
    "newline in a value": ("A", "b\nc"),
    "NUL in a value": ("A", "b\0c"),
    "equals in a name": ("A=B", "c"),
    "empty name": ("", "c"),
    "name that begins with a digit": ("1A", "c"),
}
"""Environment variables that a job may not ask for."""

GARBAGE_BODIES: dict[str, bytes] = {
    "cut in a varint": b"\x08",
    "longer than the message": b"\x0a\xff\xff\xff\xff\x07",
    "group that never ends": b"\x0b",
    "unknown wire type": b"\x0f",
    "field number zero": b"\x00\x00",
    "text that is not UTF-8": b"\x0a\x02\xc3\x28",
    "random": bytes((7 * number * number + 13) % 256 for number in range(4096)),
}
"""Bytes that are no message whose field 1 is a string."""

OVERSIZED_METADATA: tuple[tuple[str, str], ...] = (("x-large", "a" * 20 * 1024),)
"""20 KiB of metadata, over gRPC's limit."""


def nested_body(depth: int = 200, field: int = 1) -> bytes:
    """A message that holds itself in ``field``, ``depth`` times."""
    body = b""
    for _ in range(depth):
        body = _varint(field << 3 | 2) + _varint(len(body)) + body
    return body


def bad_tokens(authenticator: Authenticator) -> dict[str, str]:
    """Bearer tokens that must not let anybody in."""
    good = authenticator.mint("tester", [Role.ADMIN], 60)
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return {
        "none": "",
        "garbage": "garbage",
        "of another installation": Authenticator(b"another installation's key".ljust(32, b".")).mint(
            "x", [Role.ADMIN], 60
        ),
        "signature cut off": f"{header}.{payload}.",
        "signature changed": f"{header}.{payload}.{signature[::-1]}",
        "claims changed": f"{header}.{_encode({**claims, 'sub': 'root'})}.{signature}",
        "unsigned": f"{_encode({'alg': 'none'})}.{payload}.",
        "expired": expired_token(authenticator),
        "20 KiB": "a" * 20 * 1024,
    }


def expired_token(authenticator: Authenticator) -> str:
    """A token of the right key whose time is over. Takes a second to make."""
    token = authenticator.mint("tester", [Role.ADMIN], 1)
    time.sleep(1.1)
    return token


def _encode(claims: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
