"""Blobs in memory, for tests and for what need not last."""

from obstore.store import MemoryStore

from chassis.blobs.objects import ObjectStoreBlobs


class MemoryBlobs(ObjectStoreBlobs):
    """Blobs that last as long as this object."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
