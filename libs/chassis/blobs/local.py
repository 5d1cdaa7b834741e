"""Blobs: local."""

from chassis.blobs.protocol import Blobs


class LocalBlobs(Blobs):
    """Blobs: local."""
