"""What ``/metrics`` shows of drift: of each feature, the last complete window."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.inference.deployments.serving import Serving
from services.inference.drift.monitor import Monitor

_VERSION = ["deployment", "version"]
_FEATURE = [*_VERSION, "feature", "kind"]


class DriftCollector(Collector):
    """``kind`` is ``input`` or ``prediction``. Computed when somebody asks."""

    def __init__(self, serving: Serving, monitor: Monitor) -> None:
        self._serving = serving
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        psi = GaugeMetricFamily("headwater_drift_psi", "Population stability index.", labels=_FEATURE)
        ks = GaugeMetricFamily("headwater_drift_ks", "Statistic of Kolmogorov and Smirnov.", labels=_FEATURE)
        level = GaugeMetricFamily(
            "headwater_drift_level", "By the deployment's bounds: 0 steady, 1 warning, 2 alert.", labels=_FEATURE
        )
        rows = CounterMetricFamily("headwater_drift_rows", "Rows that were looked at.", labels=_VERSION)
        left_out = CounterMetricFamily("headwater_drift_rows_left_out", "Rows that were not.", labels=_VERSION)
        for follower in self._serving.followers():
            for loaded in follower.versions():
                watched = self._monitor.watched(loaded)
                if watched is None:
                    continue
                labels = [str(follower.deployment.name), loaded.version_number]
                rows.add_metric(labels, watched.rows)
                left_out.add_metric(labels, watched.left_out)
                for each in watched.last.features if watched.last is not None else ():
                    of_feature = [*labels, each.feature, each.side]
                    psi.add_metric(of_feature, each.psi)
                    level.add_metric(of_feature, each.level)
                    if each.ks is not None:
                        ks.add_metric(of_feature, each.ks)
        yield from (psi, ks, level, rows, left_out)
