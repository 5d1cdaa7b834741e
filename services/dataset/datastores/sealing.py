"""Credentials at rest: encrypted with AES-256-GCM (NIST SP 800-38D), each bound to its datastore.

    1 byte   the format, 1
    12 bytes the nonce, random
    …        the encrypted JSON object of names and values, and the 16-byte tag

The associated data are the format's name and the datastore's uid, so that a row that somebody moves to another
datastore does not open. The key is derived from the authentication key file and never in the database.
"""

import dataclasses
import hashlib
import hmac
import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.dataset.datastores.errors import CredentialsNeedAuthentication, CredentialsUnreadable

_FORMAT = b"\x01"
_NONCE_BYTES = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials by name. Their values are shown nowhere, not even by ``repr``."""

    values: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    def get(self, name: str) -> str:
        """The value; empty when it is not set."""
        return self.values.get(name, "")

    def scrub(self, text: str) -> str:
        """The text with every value of ours taken out."""
        for secret in sorted(self.values.values(), key=len, reverse=True):
            text = text.replace(secret, "…") if secret else text
        return text


class Seal:
    """Encrypts and decrypts credentials.

    Args:
        key: 32 bytes; None where authentication is off, and then none can be kept.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._cipher = AESGCM(key) if key is not None else None

    def seal(self, uid: str, credentials: Credentials) -> bytes:
        """The credentials, encrypted for this datastore; empty when there are none.

        Raises:
            CredentialsNeedAuthentication
        """
        if not credentials.values:
            return b""
        if self._cipher is None:
            raise CredentialsNeedAuthentication
        nonce = os.urandom(_NONCE_BYTES)
        plain = json.dumps(dict(credentials.values)).encode()
        return _FORMAT + nonce + self._cipher.encrypt(nonce, plain, _bound_to(uid))

    def open(self, uid: str, sealed: bytes) -> Credentials:
        """What ``seal`` was given for this datastore.

        Raises:
            CredentialsNeedAuthentication, CredentialsUnreadable
        """
        if not sealed:
            return Credentials()
        if self._cipher is None:
            raise CredentialsNeedAuthentication
        nonce, encrypted = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if not sealed.startswith(_FORMAT):
                raise CredentialsUnreadable
            return Credentials(json.loads(self._cipher.decrypt(nonce, encrypted, _bound_to(uid))))
        except (InvalidTag, ValueError) as error:
            raise CredentialsUnreadable from error

    def digest(self, request: bytes) -> str:
        """A digest of a request that holds credentials, by which nobody without the key can try to guess them."""
        if self._key is None:
            return hashlib.sha256(request).hexdigest()
        return hmac.digest(self._key, b"request\0" + request, hashlib.sha256).hex()


def _bound_to(uid: str) -> bytes:
    return b"headwater.datastore-credentials/1\0" + uid.encode()
