"""Immutable bytes by digest: one Protocol, local directory, object stores and memory."""

from chassis.blobs.digests import InvalidDigest, Scheme, check_digest
from chassis.blobs.local import LocalBlobs
from chassis.blobs.memory import MemoryBlobs
from chassis.blobs.objects import ObjectStoreBlobs
from chassis.blobs.protocol import (
    Blob,
    BlobCorrupt,
    BlobNotFound,
    Blobs,
    BlobStoreFull,
    BlobStoreUnavailable,
    BlobWriter,
    DigestMismatch,
    RangeOutside,
)
from chassis.blobs.urls import InvalidBlobsUrl, blobs_from_url

__all__ = [
    "Blob",
    "BlobCorrupt",
    "BlobNotFound",
    "BlobStoreFull",
    "BlobStoreUnavailable",
    "BlobWriter",
    "Blobs",
    "DigestMismatch",
    "InvalidBlobsUrl",
    "InvalidDigest",
    "LocalBlobs",
    "MemoryBlobs",
    "ObjectStoreBlobs",
    "RangeOutside",
    "Scheme",
    "blobs_from_url",
    "check_digest",
]
