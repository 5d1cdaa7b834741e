"""Work done ahead of its consumer, by a thread, as far as memory is granted."""

import collections
import threading
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetched(Generic[T]):
    """What a generator yields, made by a thread of its own while the consumer is busy. Close it when done.

    At most ``max_bytes`` wait, by what ``size_of`` says of each; one item may always wait, however large it is.
    """

    def __init__(self, source: Generator[T, None, None], size_of: Callable[[T], int], max_bytes: int) -> None:
        self._source = source
        self._size_of = size_of
        self._max_bytes = max_bytes
        self._waiting: collections.deque[tuple[T, int]] = collections.deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._ended = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="headwater-prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> "Prefetched[T]":
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                item, size = self._waiting.popleft()
                self._bytes -= size
                self._changed.notify_all()
                return item
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        raise StopIteration

    def close(self) -> None:
        """Stop the work. A thread that waits for the service at this moment ends when that answers."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            for item in self._source:
                if not self._put(item, self._size_of(item)):
                    break
        except BaseException as error:  # it is raised where the items are wanted
            self._failure = error
        finally:
            self._source.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T, size: int) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._waiting or self._bytes + size <= self._max_bytes)
            if self._closed:
                return False
            self._waiting.append((item, size))
            self._bytes += size
            self._changed.notify_all()
            return True
