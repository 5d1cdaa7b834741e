"""Writing large files past the system's file cache.

What is written once, in order, and not read soon gains nothing from the cache, while copying it there costs more than
any other step of storing it, and puts out what others read. So the bytes are gathered in aligned buffers, and the disk
fetches them from there while the next ones come.
"""

import contextlib
import fcntl
import mmap
import os
import queue
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chassis.relay import Relay

_BUFFER_BYTES = 4 << 20
_BUFFERS = 3
_ALIGNMENT = mmap.PAGESIZE
_NOTHING = mmap.mmap(-1, 1)


class DirectFile:
    """A new file that is written once. Where the file system cannot do it directly, it is written in the common way.

    ``look`` is called with all bytes, in order and in large pieces, from the thread that writes them.
    """

    def __init__(self, path: Path, look: Callable[[memoryview], object]) -> None:
        self._descriptor = _open(path)
        self._look = look
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        self._made = 0
        self._buffer = self._next_buffer()
        self._filled = 0
        self._relay: Relay[mmap.mmap] | None = None
        self._closed = False

    def write(self, data: bytes | memoryview) -> int:
        """Take the next bytes."""
        view = memoryview(data).cast("B")
        at = 0
        while at < len(view):
            step = min(len(view) - at, _BUFFER_BYTES - self._filled)
            # NumPy copies while other threads run.
            target = np.frombuffer(self._buffer, np.uint8, step, self._filled)
            np.copyto(target, np.frombuffer(view, np.uint8, step, at))
            self._filled += step
            at += step
            if self._filled == _BUFFER_BYTES:
                self._pass_on()
        return len(view)

    def flush(self) -> None:
        """Return when all bytes are written. Nothing more is written after this."""
        if self._relay is not None:
            self._relay.finish()
        if self._filled % _ALIGNMENT:
            # The last bytes end within a block of the disk, which only the cache can write.
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
        self._write_out(self._buffer, self._filled)
        self._filled = 0

    def fileno(self) -> int:
        """The file's descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Give up the file, and what is not written yet."""
        if self._closed:
            return
        self._closed = True
        if self._relay is not None:
            with self._relay:
                pass
        # The relay knows this object, and this object the relay: buffers must not wait for the collector of such rings.
        self._relay, self._buffer, self._free = None, _NOTHING, queue.SimpleQueue()
        os.close(self._descriptor)

    def _pass_on(self) -> None:
        if self._relay is None:
            self._relay = Relay("direct-file", self._write_buffer, _BUFFERS)
        self._relay.send(self._buffer)
        self._buffer, self._filled = self._next_buffer(), 0

    def _next_buffer(self) -> mmap.mmap:
        if self._made < _BUFFERS:
            self._made += 1
            return mmap.mmap(-1, _BUFFER_BYTES)  # begins at a page
        return self._free.get()

    def _write_buffer(self, buffer: mmap.mmap) -> None:
        try:
            self._write_out(buffer, _BUFFER_BYTES)
        finally:
            self._free.put(buffer)

    def _write_out(self, buffer: mmap.mmap, size_bytes: int) -> None:
        with memoryview(buffer) as whole, whole[:size_bytes] as filled:
            self._look(filled)
            at = 0
            while at < size_bytes:
                with filled[at:] as rest:
                    at += os.write(self._descriptor, rest)


def _open(path: Path) -> int:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        return os.open(path, flags | os.O_DIRECT, 0o600)
    path.unlink(missing_ok=True)  # it may have been made before the flag was refused
    return os.open(path, flags, 0o600)
