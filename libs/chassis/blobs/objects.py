"""Blobs: objects."""

from chassis.blobs.protocol import Blobs


class ObjectStoreBlobs(Blobs):
    """Blobs: objects."""
