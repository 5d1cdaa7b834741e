"""What ``/metrics`` shows of the processes in which models compute. Computed when somebody asks."""

import collections
import dataclasses
import os
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.inference.engines.loader import Engines

_VERSION = ["deployment", "version"]
_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # fields of /proc/<pid>/stat after the name


@dataclasses.dataclass(slots=True)
class _Processor:
    """The processor time of an engine's processes: of those before, as they were last seen, and of this one."""

    before_s: float = 0.0
    pid: int = 0
    now_s: float = 0.0

    def see(self, pid: int) -> float:
        """The time of all of them, when ``pid`` is the present one."""
        if pid != self.pid:
            self.before_s, self.pid, self.now_s = self.before_s + self.now_s, pid, 0.0
        self.now_s = max(self.now_s, _processor_s(pid)) if pid else self.now_s
        return self.before_s + self.now_s


class EngineCollector(Collector):
    """Metrics of all workers, by deployment and version. Counters begin with this process or, of a version, when it is
    loaded."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._processors: dict[object, _Processor] = {}

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        up = GaugeMetricFamily("headwater_engine_workers", "Worker processes that compute.", labels=_VERSION)
        memory = GaugeMetricFamily(
            "headwater_engine_memory_bytes", "Resident memory of worker processes.", labels=_VERSION
        )
        cpu = CounterMetricFamily(
            "headwater_engine_cpu_seconds", "Processor time of worker processes.", labels=_VERSION
        )
        workers: collections.Counter[tuple[str, str]] = collections.Counter()
        resident: collections.Counter[tuple[str, str]] = collections.Counter()
        seconds: collections.defaultdict[tuple[str, str], float] = collections.defaultdict(float)
        hosted = self._engines.hosted()
        self._processors = {engine: self._processors.get(engine, _Processor()) for engine in hosted}
        for engine in hosted:
            key = engine.name, engine.version
            workers[key] += bool(engine.pid)
            resident[key] += engine.resident_bytes
            seconds[key] += self._processors[engine].see(engine.pid)
        for key, count in workers.items():
            up.add_metric(key, count)
            memory.add_metric(key, resident[key])
            cpu.add_metric(key, seconds[key])
        restarts = CounterMetricFamily(
            "headwater_engine_restarts",
            "Worker processes that ended and were started again, by the reason of the error.",
            labels=["deployment", "reason"],
        )
        for (name, reason), count in self._engines.ends().items():
            restarts.add_metric([name, reason], count)
        yield from (up, memory, cpu, restarts)


def _processor_s(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # a name may have blanks and brackets
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
    except (OSError, IndexError):  # it has ended
        return 0.0
