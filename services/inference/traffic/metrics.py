"""What ``/metrics`` shows of shares and copies. Computed from plain counters when somebody asks."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headwater.names import DeploymentName
from services.inference.deployments.serving import Serving
from services.inference.traffic.options import MAIN

_VERSION = ["deployment", "version"]


class TrafficCollector(Collector):
    """The shares of all variants as they are now, and what was found of shadows since they were loaded."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield self._shares()
        yield self._left_alone()
        yield from self._copies()

    def _shares(self) -> Metric:
        shares = GaugeMetricFamily(
            "headwater_variant_weight_percent",
            "Share of the requests, or of copies of them.",
            labels=["deployment", "variant", "role", "version"],
        )
        for follower in self._serving.followers():
            if not follower.routing.variants:
                continue
            name, routing = str(follower.deployment.name), follower.routing
            versions = {target.name: target.loaded.version_number for target in follower.targets if target.loaded}
            shares.add_metric([name, MAIN, "live", versions.get(MAIN, "")], routing.main_percent)
            for each in routing.variants:
                labels = [name, each.name, each.role.value, versions.get(each.name, "")]
                shares.add_metric(labels, each.weight_percent)
        return shares

    def _left_alone(self) -> Metric:
        """Something to alert on: replicas of two releases have been side by side for too long."""
        left_alone = GaugeMetricFamily(
            "headwater_rollouts_left_alone",
            "Active rollouts that only a later release understands; 1 for each.",
            labels=["deployment", "rollout"],
        )
        for each in sorted(self._serving.rollouts_left_alone, key=str):
            left_alone.add_metric([str(DeploymentName(each.project, each.deployment)), each.rollout], 1)
        return left_alone

    def _copies(self) -> Iterator[Metric]:
        copies = CounterMetricFamily(
            "headwater_shadow_copies", "Copies, by what came of them.", labels=[*_VERSION, "result"]
        )
        largest = GaugeMetricFamily(
            "headwater_shadow_largest_difference", "Of two numbers, since it was loaded.", labels=_VERSION
        )
        for follower in self._serving.followers():
            for loaded in follower.versions():
                found = loaded.comparisons
                if not found.asked + found.dropped:
                    continue
                labels = [str(follower.deployment.name), loaded.version_number]
                results = {
                    "identical": found.identical,
                    "agreed": found.agreed - found.identical,
                    "disagreed": found.compared - found.agreed,
                    "failed": found.failed,
                    "dropped": found.dropped,
                }
                for result, count in results.items():
                    copies.add_metric([*labels, result], count)
                largest.add_metric(labels, found.largest)
        yield from (copies, largest)
