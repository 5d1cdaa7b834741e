"""What ``/metrics`` shows of the processes in which models compute. Computed when somebody asks."""

import collections
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.inference.engines.loader import Engines


class EngineCollector(Collector):
    """Metrics of all workers, by deployment. Counters begin with this process."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        up = GaugeMetricFamily("headwater_engine_workers", "Worker processes that compute.", labels=["deployment"])
        memory = GaugeMetricFamily(
            "headwater_engine_memory_bytes", "Resident memory of worker processes.", labels=["deployment"]
        )
        workers: collections.Counter[str] = collections.Counter()
        resident: collections.Counter[str] = collections.Counter()
        for engine in self._engines.hosted():
            workers[engine.name] += bool(engine.pid)
            resident[engine.name] += engine.resident_bytes
        for name, count in workers.items():
            up.add_metric([name], count)
            memory.add_metric([name], resident[name])
        restarts = CounterMetricFamily(
            "headwater_engine_restarts",
            "Worker processes that ended and were started again, by the reason of the error.",
            labels=["deployment", "reason"],
        )
        for (name, reason), count in self._engines.ends().items():
            restarts.add_metric([name, reason], count)
        yield from (up, memory, restarts)
