"""The C library's allocator in a process through which streams of many megabytes pass.

glibc gives large blocks back to the system as soon as they are freed, and gets them again, page by page and filled with
zeros, for the next message: much of the time that receiving one takes. So what streams have freed stays with the
process until the last of them ends, and all of it is given back then.
"""

import contextlib
import ctypes
import threading
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_KEPT_BYTES = 256 << 20
_LARGEST_BYTES = 32 << 20
"""The most that glibc takes for a threshold."""
_USUAL_BYTES = 4 << 20
"""More than the messages and parts of files that pass through a service have."""

_LIBC = ctypes.CDLL(None)
_lock = threading.Lock()
_streams = 0


def keep_freed() -> None:
    """Let freed memory stay with the process. Does nothing where the C library is not glibc."""
    with contextlib.suppress(AttributeError):
        _LIBC.mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
        _LIBC.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def return_freed() -> None:
    """Let large blocks go back to the system as soon as they are freed. Does nothing where the C library is not glibc.

    Left to itself, glibc raises the size of what it returns to that of the largest block that was ever freed: whoever
    makes a process allocate much for a moment, in several threads, makes it keep that for good.
    """
    with contextlib.suppress(AttributeError):
        _LIBC.mallopt(_MMAP_THRESHOLD, _USUAL_BYTES)


def share_freed() -> None:
    """Let what one thread has freed be taken by another; to be called before there are threads that allocate.

    Each thread has memory of its own otherwise, and what it has freed waits for it: in a process that hands large
    blocks from thread to thread the next block is one that nobody has touched for long. The price is that native
    threads (of models that are computed in the service's own process) wait for each other while they allocate. Does
    nothing where the C library is not glibc.
    """
    with contextlib.suppress(AttributeError):
        _LIBC.mallopt(_ARENA_MAX, 1)


@contextlib.contextmanager
def stream() -> Iterator[None]:
    """Around a stream of many megabytes: the last one that ends gives freed memory back, in a few milliseconds."""
    global _streams
    with _lock:
        _streams += 1
    try:
        yield
    finally:
        with _lock:
            _streams -= 1
            is_last = not _streams
        if is_last:
            _give_back()


def _give_back() -> None:
    import pyarrow as pa  # only services that stream have it installed

    pa.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError):
        _LIBC.malloc_trim(0)
