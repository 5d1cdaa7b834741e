"""Blobs: memory."""

from chassis.blobs.protocol import Blobs


class MemoryBlobs(Blobs):
    """Blobs: memory."""
