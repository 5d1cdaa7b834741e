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
    read_in_chunks,
)
from chassis.blobs.staging import LocalStaging, ObjectStaging, PartLost, Staging
from chassis.blobs.urls import InvalidBlobsUrl, blobs_from_url, staging_from_url

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
    "LocalStaging",
    "MemoryBlobs",
    "ObjectStaging",
    "ObjectStoreBlobs",
    "PartLost",
    "RangeOutside",
    "Scheme",
    "Staging",
    "blobs_from_url",
    "check_digest",
    "read_in_chunks",
    "staging_from_url",
]
