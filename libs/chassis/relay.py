"""Threads that work one behind the other on one stream, each a bounded amount ahead of the next."""

import collections
import contextvars
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Relay(Generic[T]):
    """Gives items to ``consume`` in order, in a thread of its own that works in the caller's context.

    Items wait for as long as their weights together are at most ``capacity``, or there is only one. A context manager:
    leaving it ends the thread, and what waits is dropped unless ``finish`` was called. Not to be used after an error.
    """

    def __init__(self, name: str, consume: Callable[[T], None], capacity: int) -> None:
        self._consume = consume
        self._capacity = capacity
        self._items: collections.deque[tuple[T, int]] = collections.deque()
        self._weight = 0
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True)
        self._thread.start()

    def send(self, item: T, weight: int = 1) -> None:
        """Let ``item`` be consumed, when there is room for it.

        Raises:
            What ``consume`` raised for an item before it.
        """
        with self._changed:
            while self._error is None and self._items and self._weight + weight > self._capacity:
                self._changed.wait()
            self._check()
            self._items.append((item, weight))
            self._weight += weight
            self._changed.notify_all()

    def finish(self) -> None:
        """Return when everything sent is consumed; raises as ``send`` does."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        self._check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._items.clear()
            self._changed.notify_all()
        self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while self._error is None:
            with self._changed:
                while not self._items and not self._ended:
                    self._changed.wait()
                if not self._items:
                    return
                item, weight = self._items.popleft()
                self._weight -= weight
                self._changed.notify_all()
            try:
                self._consume(item)
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
            del item  # or it would be kept until the next one comes
