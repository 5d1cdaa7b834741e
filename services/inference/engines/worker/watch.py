"""Notices workers that end, and ends those that take more memory than they may."""

import contextlib
import os
import select
import threading
from collections.abc import Callable

import structlog

from services.inference.engines.worker.process import Worker

_INTERVAL_S = 0.25
_SLACK_BYTES = 256 << 20
"""What a process may take beyond its model: the stacks of threads, and the buffers of libraries."""

_log = structlog.get_logger("inference.engines")


class Watch:
    """One thread for all workers of this process. Usable by any thread."""

    def __init__(self) -> None:
        self._workers: dict[int, tuple[Worker, Callable[[Worker], None]]] = {}
        self._lock = threading.Lock()
        self._poll = select.epoll()
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll.register(self._wake, select.EPOLLIN)
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, worker: Worker, on_end: Callable[[Worker], None]) -> None:
        """Call ``on_end`` in the watch's thread when the process has ended, whyever."""
        with self._lock:
            self._workers[worker.control.fileno()] = worker, on_end
            self._poll.register(worker.control.fileno(), select.EPOLLIN | select.EPOLLHUP)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="engine watch", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Watch no more; all workers have been ended."""
        with self._lock:
            self._closing = True
        os.write(self._waker, b".")
        if self._thread is not None:
            self._thread.join(5)
        for worker, _ in self._workers.values():  # those whose end it has not seen yet
            worker.close()
        self._poll.close()
        os.close(self._wake)
        os.close(self._waker)

    def _run(self) -> None:
        while not self._closing:
            for descriptor, _ in self._poll.poll(_INTERVAL_S):
                if descriptor != self._wake:
                    self._ended(descriptor)
            self._measure()

    def _ended(self, descriptor: int) -> None:
        with self._lock:
            self._poll.unregister(descriptor)
            worker, on_end = self._workers.pop(descriptor)
        try:
            on_end(worker)
        except Exception:  # the others are to be watched still
            _log.exception("a worker's end could not be handled", model=worker.order.name)
        worker.close()

    def _measure(self) -> None:
        with self._lock:
            workers = [worker for worker, _ in self._workers.values()]
        for worker in workers:
            taken = worker.resident_bytes() - worker.baseline_bytes
            if taken > worker.order.memory_bytes + _SLACK_BYTES:
                _log.warning(
                    "ending a model that takes too much memory",
                    model=worker.order.name,
                    bytes=taken,
                    limit=worker.order.memory_bytes,
                )
                with contextlib.suppress(OSError):
                    worker.end("memory")
