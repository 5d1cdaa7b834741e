"""Etags (AIP-154): whoever changes a resource can say which state of it they have seen (promise 3)."""

import hashlib

from google.protobuf.message import Message

from headwater.errors import Aborted


class EtagMismatch(Aborted):
    """The resource has changed since the caller read it."""

    reason = "ETAG_MISMATCH"
    text = "It has changed since you read it: read it again, then retry."


def etag_of(state: Message | int) -> str:
    """The etag of a resource: of its revision number where it has one, else of its content.

    A message is serialised deterministically; leave its own ``etag`` field empty.
    """
    if isinstance(state, int):
        return f'"{state}"'
    return f'"{hashlib.sha256(state.SerializeToString(deterministic=True)).hexdigest()[:24]}"'


def check(given: str, current: str) -> None:
    """Go on if the caller gave no etag or the current one.

    Raises:
        EtagMismatch: the caller has seen another state.
    """
    if given and given != current:
        raise EtagMismatch(etag=current)
