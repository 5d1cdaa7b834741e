"""What ``/metrics`` shows of the defence. Computed when somebody asks."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.inference.deployments.serving import Serving
from services.inference.guard.breaker import Position
from services.inference.incidents.log import IncidentLog

_VALUES = {Position.CLOSED: 0, Position.HALF_OPEN: 1, Position.OPEN: 2}


class GuardCollector(Collector):
    """Breakers of everything that is loaded, and incidents since the start of the process."""

    def __init__(self, serving: Serving, incidents: IncidentLog) -> None:
        self._serving = serving
        self._incidents = incidents

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        breakers = GaugeMetricFamily(
            "headwater_breaker_state", "0 closed, 1 half-open, 2 open.", labels=["deployment", "version"]
        )
        for follower in self._serving.followers():
            for loaded in follower.versions():
                labels = [str(follower.deployment.name), loaded.version_number]
                breakers.add_metric(labels, _VALUES[loaded.watch.breaker.position])
        yield breakers
        begun = CounterMetricFamily("headwater_incidents", "Incidents that began.", labels=["deployment", "kind"])
        for (deployment, kind), count in list(self._incidents.begun.items()):
            begun.add_metric([deployment, kind.value], count)
        yield begun
        yield CounterMetricFamily(
            "headwater_incidents_lost", "Incidents that could not be written.", value=self._incidents.lost
        )
