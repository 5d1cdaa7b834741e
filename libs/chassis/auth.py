"""Who is calling and what they may do.

Tokens are JSON Web Tokens (RFC 7519) signed with HMAC-SHA256; the key is a file that every service of one
installation reads. The edges (gRPC, Flight, HTTP) authenticate each call with the same Authenticator and set
``current_principal``; a call without a valid token gets no further (promise 14).
"""

import contextvars
import dataclasses
import enum
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Self

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from chassis.errors import StartupError
from headwater.errors import PermissionDenied, Unauthenticated

ISSUER = "headwater"
_MIN_KEY_BYTES = 32
_MAX_TOKEN_CHARACTERS = 8192
_CACHED_TOKENS = 4096
_ALGORITHMS = ["HS256"]


class Role(enum.IntEnum):
    """What a caller may do; the numbers are those of ``headwater.auth.v1.Role``."""

    READER = 1
    WRITER = 2
    APPROVER = 3
    ADMIN = 4


_IMPLIED: dict[Role, frozenset[Role]] = {
    Role.READER: frozenset({Role.READER}),
    Role.WRITER: frozenset({Role.READER, Role.WRITER}),
    Role.APPROVER: frozenset({Role.READER, Role.APPROVER}),
    Role.ADMIN: frozenset(Role),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """A caller: a person or a service, and the roles that the token gives, with the ones those imply."""

    subject: str
    roles: frozenset[Role]

    @classmethod
    def of(cls, subject: str, roles: Iterable[Role]) -> Self:
        """The caller ``subject`` with ``roles`` and all that they imply."""
        return cls(subject, frozenset().union(*(_IMPLIED[role] for role in roles)))

    def require(self, role: Role) -> None:
        """Go on if the caller holds ``role``.

        Raises:
            PermissionDenied: naming the role that is missing.
        """
        if role not in self.roles:
            raise PermissionDenied(f"This needs the role {role.name.lower()}.", role=role.name.lower())


ANONYMOUS = Principal.of("anonymous", [Role.ADMIN])
"""Everybody, while authentication is off (which only a loopback address allows)."""

_caller: contextvars.ContextVar[tuple[Principal, str] | None] = contextvars.ContextVar("headwater_caller", default=None)


def current_principal() -> Principal:
    """The caller of the call being answered.

    Raises:
        Unauthenticated: no call is being answered here (a background task has no caller).
    """
    caller = _caller.get()
    if caller is None:
        raise Unauthenticated()
    return caller[0]


def current_token() -> str:
    """The caller's own token, for a call to another service in the caller's name; empty if there is none."""
    caller = _caller.get()
    return caller[1] if caller else ""


def set_caller(principal: Principal, token: str = "") -> None:
    """For the edges: from here on, in this task or thread, ``principal`` is the caller."""
    _caller.set((principal, token))


class Authenticator:
    """Checks and makes tokens. Safe to share between threads."""

    def __init__(self, key: bytes | None) -> None:
        self._key = OctKey.import_key(key) if key else None
        self._secret = key or secrets.token_bytes(_MIN_KEY_BYTES)
        self._claims = jwt.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER}, exp={"essential": True})
        self._seen: dict[str, tuple[Principal, float]] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_key_file(cls, path: str | Path) -> Self:
        """Read the key (32 bytes or more, as they are or in hex).

        Raises:
            StartupError: the file is missing, too short, or can be read by others.
        """
        try:
            mode = os.stat(path).st_mode
            key = Path(path).read_bytes().strip()
        except OSError as error:
            raise StartupError(
                f"The key file {path} (HEADWATER_AUTH_KEY_FILE) cannot be read: {error.strerror}. "
                f"Make one with: head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' > {path} && chmod 600 {path}"
            ) from error
        if mode & 0o004:
            raise StartupError(f"The key file {path} can be read by everybody. Run: chmod 600 {path}")
        if len(key) < _MIN_KEY_BYTES:
            raise StartupError(f"The key file {path} holds fewer than {_MIN_KEY_BYTES} bytes; make a longer key.")
        return cls(key)

    @classmethod
    def disabled(cls) -> Self:
        """Authentication off: every caller is ``ANONYMOUS``."""
        return cls(None)

    @classmethod
    def from_settings(cls, auth_key_file: str) -> Self:
        """``from_key_file`` if the setting is given, else ``disabled``."""
        return cls.from_key_file(auth_key_file) if auth_key_file else cls.disabled()

    @property
    def enabled(self) -> bool:
        """Whether callers need a token."""
        return self._key is not None

    def authenticate(self, bearer_token: str) -> Principal:
        """Who holds this token.

        Raises:
            Unauthenticated: there is none, or it is not ours, or it has expired.
        """
        if self._key is None:
            return ANONYMOUS
        known = self._seen.get(bearer_token)
        if known is not None and time.time() < known[1]:
            return known[0]
        principal, expires_at = self._verify(bearer_token)
        with self._lock:
            while len(self._seen) >= _CACHED_TOKENS:
                self._seen.pop(next(iter(self._seen)))
            self._seen[bearer_token] = principal, expires_at
        return principal

    def _verify(self, bearer_token: str) -> tuple[Principal, float]:
        assert self._key is not None
        if not bearer_token or len(bearer_token) > _MAX_TOKEN_CHARACTERS:
            raise Unauthenticated()
        try:
            claims = jwt.decode(bearer_token, self._key, algorithms=_ALGORITHMS).claims
            self._claims.validate(claims)
            principal = Principal.of(_text(claims["sub"]), [Role[_text(role).upper()] for role in claims["roles"]])
            return principal, float(claims["exp"])
        except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise Unauthenticated() from error

    def mint(self, subject: str, roles: Collection[Role], ttl_s: float) -> str:
        """A token for ``subject`` that is valid for ``ttl_s`` seconds. Empty while authentication is off."""
        if self._key is None:
            return ""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "roles": sorted(role.name.lower() for role in roles),
            "iat": now,
            "exp": now + max(1, int(ttl_s)),
        }
        return jwt.encode({"alg": "HS256"}, claims, self._key, algorithms=_ALGORITHMS)

    def token_source(self, subject: str, roles: Collection[Role], ttl_s: float = 3600) -> Callable[[], str]:
        """For a service's own calls: a function that returns a token of ``subject``, renewed before it expires."""
        current, renew_at = "", 0.0

        def token() -> str:
            nonlocal current, renew_at
            if time.time() >= renew_at:
                renew_at = time.time() + ttl_s / 2
                current = self.mint(subject, roles, ttl_s)
            return current

        return token

    def derive_key(self, purpose: str) -> bytes:
        """A 32-byte key for ``purpose`` (signed tickets and the like); the same on all services with one key file."""
        return hmac.digest(self._secret, b"headwater:" + purpose.encode(), hashlib.sha256)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a claim is not text")
    return value
