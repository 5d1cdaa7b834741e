"""An engine whose model is in a process of its own, which is started again when it ends."""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import BinaryIO

import structlog

from services.inference.engines.engine import (
    Engine,
    EngineCrashed,
    EngineOutOfMemory,
    EngineRestarting,
    EngineTimedOut,
)
from services.inference.engines.order import Order
from services.inference.engines.worker.backoff import Backoff
from services.inference.engines.worker.process import Worker, WorkerEnded
from services.inference.engines.worker.template import Template
from services.inference.engines.worker.watch import Watch
from services.inference.tensors.model import Array

_PATIENCE_S = 0.25

_log = structlog.get_logger("inference.engines")


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How long a worker may take, in seconds: to load, and for one batch."""

    load_timeout_s: float
    timeout_s: float


class ProcessEngine(Engine):
    """See Engine. Loads in the constructor, which raises what Worker.start does.

    ``file`` is kept open, so that the model can be loaded again from the same bytes; ``count`` is called with the name
    and the reason of each end that was not asked for.
    """

    def __init__(
        self,
        order: Order,
        file: BinaryIO,
        template: Template,
        watch: Watch,
        limits: Limits,
        count: Callable[[str, str], None] = lambda _name, _reason: None,
        *,
        version: str = "",
    ) -> None:
        self.version = version
        """Of the model, for metrics."""
        self._order = order
        self._file = file
        self._template = template
        self._watch = watch
        self._limits = limits
        self._count = count
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._started = threading.Event()
        self._backoff = Backoff(time.monotonic)
        self._worker: Worker | None = None
        worker = self._start(dataclasses.replace(order, digest=""))
        self.signature = worker.signature
        self.platform = worker.platform
        if worker.missing:
            _log.warning("a worker is not confined in all", model=order.name, missing=worker.missing)

    @property
    def name(self) -> str:
        """For logs and metrics."""
        return self._order.name

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closing.is_set()

    @property
    def pid(self) -> int:
        """The worker's process id; 0 while there is none."""
        worker = self._worker
        return worker.pid if worker else 0

    @property
    def resident_bytes(self) -> int:
        """The memory that the worker takes."""
        worker = self._worker
        return worker.resident_bytes() if worker else 0

    def gather(self, requests: Sequence[Sequence[Array]]) -> list[Array]:
        """See Engine."""
        worker = self._ready()
        try:
            return worker.gather(requests)
        except WorkerEnded:
            raise self._restarting() from None

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine."""
        worker = self._ready()
        try:
            return worker.compute(inputs)
        except EngineOutOfMemory:
            if worker.is_full():  # it would fail from now on
                worker.end("memory")
                self._ended(worker)
            raise
        except WorkerEnded as error:
            self._ended(worker)
            raise self._error(worker) from error

    def stop(self) -> None:
        """See Engine. An engine that cannot stop goes on until its time is over."""
        worker = self._worker
        if worker is not None:
            worker.stop()

    def close(self) -> None:
        """See Engine."""
        with self._lock:
            self._closing.set()
            worker, self._worker = self._worker, None
            self._file.close()
        if worker is not None:
            worker.end("close")

    def _ready(self) -> Worker:
        """The worker; waits for one that is about to be there, which costs callers less than to come again."""
        worker = self._worker
        if worker is None and self._backoff.remaining_s() < _PATIENCE_S:
            self._started.wait(_PATIENCE_S)
            worker = self._worker
        if worker is None:
            raise self._restarting()
        return worker

    def _start(self, order: Order) -> Worker:
        limits = self._limits
        worker = Worker.start(
            self._template,
            order,
            self._file,
            load_timeout_s=limits.load_timeout_s,
            timeout_s=limits.timeout_s,
        )
        with self._lock:
            closed = self._closing.is_set()
            if not closed:
                self._worker = worker
                self._backoff.started()
                self._started.set()
        if closed:
            worker.end("close")
        self._watch.add(worker, self._ended)
        return worker

    def _ended(self, worker: Worker) -> None:
        """The worker is no more: begin to start another one. Whoever notices first does it."""
        with self._lock:
            if self._worker is not worker:
                return
            self._worker = None
            self._started.clear()
            self._backoff.ended()
        described = worker.describe_end()
        reason = self._error(worker).reason
        _log.warning("a model's process has ended", model=self._order.name, how=described, reason=reason)
        self._count(self._order.name, reason)
        threading.Thread(target=self._restart, name=f"restart {self._order.name}", daemon=True).start()

    def _restart(self) -> None:
        while not self._closing.wait(self._backoff.remaining_s()):
            try:
                self._start(self._order)
            except Exception as error:
                if self._closing.is_set():  # and the file with it
                    return
                self._backoff.ended()
                _log.warning("a model's process cannot be started", model=self._order.name, exc_info=error)
            else:
                return

    def _error(self, worker: Worker) -> EngineCrashed | EngineOutOfMemory | EngineTimedOut | EngineRestarting:
        match worker.ended_for:
            case "memory":
                return EngineOutOfMemory(model=self._order.name)
            case "time":
                return EngineTimedOut(model=self._order.name, limit_s=self._limits.timeout_s)
            case _:
                return EngineCrashed(model=self._order.name)

    def _restarting(self) -> EngineRestarting:
        return EngineRestarting(model=self._order.name, retry_after_ms=self._backoff.retry_after_ms())
