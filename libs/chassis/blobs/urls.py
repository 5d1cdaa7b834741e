"""From a setting to a blob store."""

import urllib.parse
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import MemoryStore, ObjectStore, from_url

from chassis.blobs.local import LocalBlobs
from chassis.blobs.memory import MemoryBlobs
from chassis.blobs.objects import ObjectStoreBlobs
from chassis.blobs.protocol import Blobs
from chassis.blobs.staging import LocalStaging, ObjectStaging, Staging
from headwater.errors import InvalidArgument


class InvalidBlobsUrl(InvalidArgument):
    """The URL names no blob store."""

    reason = "INVALID_BLOBS_URL"
    text = "HEADWATER_BLOBS_URL must look like file:///absolute/directory, s3://bucket/prefix, gs://… or az://…"


def blobs_from_url(url: str, folder: str) -> Blobs:
    """The store that ``url`` names: ``file:///absolute/directory``, ``s3://bucket/prefix``, ``gs://…``, ``az://…``.

    ``folder`` is the service's own part of it: who collects what nobody needs must not come upon another's bytes.
    ``memory://`` is one that ends with the process. Credentials for object stores come from their usual environment
    variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, ...).

    Raises:
        InvalidBlobsUrl: the URL is none of these.
    """
    match _place(url, folder):
        case Path() as root:
            return LocalBlobs(root)
        case None:
            return MemoryBlobs()
        case store:
            return ObjectStoreBlobs(store)


def staging_from_url(url: str, folder: str) -> Staging:
    """Where parts of blobs to be are kept, beside the blobs that ``blobs_from_url`` of the same values keeps.

    Raises:
        InvalidBlobsUrl
    """
    match _place(url, f"{folder}/staging"):
        case Path() as root:
            return LocalStaging(root)
        case None:
            return ObjectStaging(MemoryStore())
        case store:
            return ObjectStaging(store)


def _place(url: str, folder: str) -> Path | ObjectStore | None:
    """A directory, an object store, or None for memory."""
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1:
            return Path(urllib.parse.unquote(parts.path)) / folder
        if parts.scheme == "memory":
            return None
        if parts.scheme in ("s3", "gs", "az") and parts.netloc:
            return from_url(f"{url.rstrip('/')}/{folder}")
    except (ValueError, BaseError) as error:
        raise InvalidBlobsUrl from error
    raise InvalidBlobsUrl
