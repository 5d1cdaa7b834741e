"""Threads that work one behind the other on one stream, each some items ahead of the next."""

import contextvars
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Relay(Generic[T]):
    """Gives items to ``consume`` in order, in a thread of its own that works in the caller's context.

    At most ``depth`` items wait. A context manager: leaving it ends the thread, and drops what waits if an error
    leaves it. Not to be used any more after an error.
    """

    def __init__(self, name: str, consume: Callable[[T], None], depth: int) -> None:
        self._consume = consume
        self._queue: queue.Queue[T | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._stopping = False
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True)
        self._thread.start()

    def send(self, item: T) -> None:
        """Let ``item`` be consumed, when there is room for it.

        Raises:
            What ``consume`` raised for an item before it.
        """
        self._check()
        self._queue.put(item)

    def finish(self) -> None:
        """Return when everything sent is consumed; raises as ``send`` does."""
        self._end()
        self._check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None or self._stopping:
                continue  # so that a sender that waits for room goes on, and learns of the error
            try:
                self._consume(item)
            except BaseException as error:
                self._error = error
            del item  # or it would be kept until the next one comes
