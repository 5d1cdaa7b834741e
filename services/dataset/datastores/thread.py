"""The thread of one source: some databases' drivers demand that all is done in the thread that has opened them."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from services.dataset.datastores.errors import ReadStalled

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class SourceThread:
    """One thread in which a source is read from its opening to its end.

    It ends when it is told to, or by itself when nothing has been asked of it for ``idle_s``, and closes then what was
    opened in it.
    """

    def __init__(self, idle_s: float | None = None) -> None:
        self._idle_s = idle_s
        self._opened = contextlib.ExitStack()
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._ended = False
        # Not one that the process waits for when it ends: a reader may stall for minutes, a database work for an hour.
        threading.Thread(target=self._run, name="datastore-source", daemon=True).start()

    async def do(self, work: Callable[[], T]) -> T:
        """The result of the work, or what it raises.

        Raises:
            ReadStalled: the thread has ended.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._ended:
                raise ReadStalled
            self._work.put((future, work))
        return await asyncio.wrap_future(future)

    async def open(self, context: contextlib.AbstractContextManager[T]) -> T:
        """Enter the context; it is left when the thread ends. Raises what ``do`` does."""
        return await self.do(lambda: self._opened.enter_context(context))

    def end(self) -> None:
        """Close what is open, after what is being done; does not wait for it. May be called again."""
        with self._lock:
            self._ended = True
            self._work.put(None)

    def _run(self) -> None:
        try:
            while (asked := self._next()) is not None:
                _answer(*asked)
                del asked  # rows that nobody waits for any more take no memory
        finally:
            try:
                self._opened.close()
            except Exception:
                _log.exception("a source could not be closed")

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        while True:
            try:
                return self._work.get(timeout=self._idle_s)
            except queue.Empty:
                with self._lock:
                    if self._work.empty():
                        self._ended = True
                        return None


def _answer(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
