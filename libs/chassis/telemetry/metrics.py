"""Metrics in the Prometheus text format.

The edges count into plain integers (well under a microsecond a call); Prometheus' own objects are made from them
when somebody asks for ``/metrics``.
"""

import bisect
import threading
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Calls:
    """The calls of one method: how many run, how many ended with which code, how long they took."""

    __slots__ = ("_lock", "buckets", "codes", "edge", "in_flight", "method", "seconds")

    def __init__(self, edge: str, method: str) -> None:
        self.edge = edge
        self.method = method
        self.in_flight = 0
        self.codes: dict[str, int] = {}
        self.buckets = [0] * (len(_BOUNDS_S) + 1)
        self.seconds = 0.0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """A call has come in."""
        with self._lock:
            self.in_flight += 1

    def end(self, code: str, seconds: float) -> None:
        """A call has ended with ``code`` after ``seconds``."""
        with self._lock:
            self.in_flight -= 1
            self.codes[code] = self.codes.get(code, 0) + 1
            self.buckets[bisect.bisect_left(_BOUNDS_S, seconds)] += 1
            self.seconds += seconds


class Metrics:
    """One service's metrics. A service adds its own to ``registry``: ``Gauge("…", "…", registry=metrics.registry)``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = _CallsCollector()
        self.registry.register(self._calls)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def calls(self, edge: str, method: str) -> Calls:
        """The counters of one method of one edge (grpc, flight, http); the same object for the same arguments."""
        return self._calls.of(edge, method)

    def exposition(self) -> bytes:
        """All metrics as text, of the type ``CONTENT_TYPE``."""
        return generate_latest(self.registry)


class _CallsCollector(Collector):
    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], Calls] = {}

    def of(self, edge: str, method: str) -> Calls:
        return self._calls.setdefault((edge, method), Calls(edge, method))

    def collect(self) -> Iterator[Metric]:
        total = CounterMetricFamily("headwater_calls", "Calls answered.", labels=["edge", "method", "code"])
        running = GaugeMetricFamily("headwater_calls_in_flight", "Calls being answered.", labels=["edge", "method"])
        seconds = HistogramMetricFamily("headwater_call_seconds", "Time to answer.", labels=["edge", "method"])
        for calls in list(self._calls.values()):
            labels = [calls.edge, calls.method]
            running.add_metric(labels, calls.in_flight)
            for code, count in list(calls.codes.items()):
                total.add_metric([*labels, code], count)
            seconds.add_metric(labels, _cumulative(calls.buckets), calls.seconds)
        yield from (total, running, seconds)


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    below = 0
    result: list[tuple[str, float]] = []
    for bound, count in zip([*map(str, _BOUNDS_S), "+Inf"], list(buckets), strict=True):
        below += count
        result.append((bound, float(below)))
    return result
