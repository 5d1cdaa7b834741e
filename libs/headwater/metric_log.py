"""Metric points on their way to the registry, in batches, beside what measures them."""

import contextlib
import threading
import time
from collections.abc import Mapping

from google.protobuf import timestamp_pb2

from headwater.client import Connection
from headwater.errors import DeadlineExceeded, HeadwaterError, Unavailable
from headwater.patience import patiently
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc

_AWAY = (Unavailable, DeadlineExceeded)
_FLUSH_S = 1.0
_BATCH_POINTS = 1_000
_MAX_WAITING_POINTS = 10_000


class MetricLog:
    """Collects points and sends them every second. What was logged is recorded when :meth:`close` returns."""

    def __init__(self, connection: Connection, run: str) -> None:
        self._stub = runs_pb2_grpc.RunServiceStub(connection.channel("registry"))
        self._run = run
        self._waiting: list[runs_pb2.MetricPoint] = []
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._closing = threading.Event()
        self._failure: HeadwaterError | None = None
        self._thread = threading.Thread(target=self._work, name="headwater-metrics", daemon=True)
        self._thread.start()

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Log one point for each metric. Waits for the registry only when 10,000 points are under way.

        Raises:
            HeadwaterError: the registry refused earlier points, or has been away for a minute with that many waiting.
        """
        if self._failure is not None:
            raise self._failure
        now = timestamp_pb2.Timestamp()
        now.FromNanoseconds(time.time_ns())
        points = [
            runs_pb2.MetricPoint(key=key, value=float(value), step=step, time=now) for key, value in metrics.items()
        ]
        with self._lock:
            self._waiting.extend(points)
            full = len(self._waiting) >= _MAX_WAITING_POINTS
        if full:
            patiently(self._flush)

    def flush(self) -> None:
        """Send what waits. What was logged before is recorded when this returns.

        Raises:
            HeadwaterError: the registry refused points or is away.
        """
        if self._failure is not None:
            raise self._failure
        patiently(self._flush)

    def offer(self) -> None:
        """Send what waits, if the registry can be reached; if not, it goes on waiting.

        Raises:
            HeadwaterError: the registry refused points.
        """
        if self._failure is not None:
            raise self._failure
        with contextlib.suppress(*_AWAY):
            self._flush()

    def close(self) -> None:
        """Send the rest.

        Raises:
            HeadwaterError: the registry refused points or is away.
        """
        self._closing.set()
        self._thread.join()
        self.flush()

    def _work(self) -> None:
        while not self._closing.wait(_FLUSH_S):
            try:
                self._flush()
            except _AWAY:
                continue  # the points wait
            except HeadwaterError as error:
                self._failure = error
                return

    def _flush(self) -> None:
        with self._sending:
            while True:
                with self._lock:
                    batch = self._waiting[:_BATCH_POINTS]
                if not batch:
                    return
                self._stub.LogMetrics(runs_pb2.LogMetricsRequest(name=self._run, points=batch))
                with self._lock:
                    del self._waiting[: len(batch)]
