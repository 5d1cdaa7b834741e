"""Memory that two processes share, in which tensors travel: a file without a name that both have mapped.

It grows when a batch needs more and is kept at that size. It is sealed against shrinking, by which the other process
could let this one die of SIGBUS.
"""

import fcntl
import mmap
import os

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_GRANULE = 1 << 16
ALIGNMENT = 64
"""Every tensor begins at a multiple of this many bytes, as engines like it."""


def aligned(position: int) -> int:
    """The next place at which a tensor may begin."""
    return (position + ALIGNMENT - 1) & -ALIGNMENT


def _ample(size: int) -> int:
    """By half more than is needed: batches that grow row by row do not map it anew each time."""
    return -(-(size + size // 2) // _GRANULE) * _GRANULE or _GRANULE


class SharedMemory:
    """One side's view of a memory. Used by one thread at a time."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0
        self._map: mmap.mmap | None = None

    @classmethod
    def create(cls, name: str) -> "SharedMemory":
        """A new, empty memory."""
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        return cls(descriptor)

    def grown(self, size: int) -> mmap.mmap:
        """All of it, at least ``size`` bytes. For the side that writes.

        Raises:
            OSError: there is no such memory, or this process may not have it.
        """
        if self._map is None or size > self.size:
            wanted = _ample(size)
            if os.fstat(self.descriptor).st_size < wanted:
                os.ftruncate(self.descriptor, wanted)
            self._remap(wanted)
        assert self._map is not None
        return self._map

    def mapped(self, size: int) -> mmap.mmap:
        """All of it, at least ``size`` bytes. For the side that reads.

        Raises:
            ValueError: it has not that many.
        """
        if self._map is None or size > self.size:
            there = os.fstat(self.descriptor).st_size
            if not 0 < size <= there:
                raise ValueError(f"{size} bytes of {there}")
            self._remap(min(_ample(size), there))  # however large the other side has made it
        assert self._map is not None
        return self._map

    def close(self) -> None:
        """Give it back as soon as no array lies in it any more."""
        self._map = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _remap(self, size: int) -> None:
        # The former map is not closed: arrays may lie in it. It goes with the last of them.
        self._map = mmap.mmap(self.descriptor, size)
        self.size = size
