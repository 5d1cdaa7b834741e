"""What ``/metrics`` shows of the models. Everything is computed from plain counters when somebody asks."""

import math
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from services.inference.deployments.loaded import COUNTED_BOUNDS_S, LATENCY_BOUNDS_S, Loaded
from services.inference.deployments.serving import Serving
from services.inference.records.recorder import Recorder

_MODEL = ["deployment", "version"]
_BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_SHOWN = frozenset({*LATENCY_BOUNDS_S, math.inf})


class InferenceCollector(Collector):
    """Metrics of everything that is loaded and of the recorder. Counters of a version begin when it is loaded."""

    def __init__(self, serving: Serving, recorder: Recorder) -> None:
        self._serving = serving
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        loaded = [loaded for each in self._serving.followers() for loaded in each.versions()]
        yield self._states()
        yield from _requests(loaded)
        yield from _batches(loaded)
        yield from _caches(loaded)
        yield from _preparations(loaded)
        yield from self._records()

    def _states(self) -> Metric:
        states = GaugeMetricFamily(
            "headwater_deployment_state", "1 for the state it is in.", labels=["deployment", "state"]
        )
        for follower in self._serving.followers():
            states.add_metric([str(follower.deployment.name), follower.status.state.name.lower()], 1)
        return states

    def _records(self) -> Iterator[Metric]:
        recorder = self._recorder
        yield GaugeMetricFamily("headwater_records_buffered", "Records not yet written.", value=recorder.buffered)
        yield GaugeMetricFamily(
            "headwater_records_buffered_bytes", "Memory of tensors not yet written.", value=recorder.buffered_bytes
        )
        yield CounterMetricFamily(
            "headwater_records_failures_left_out",
            "Failed requests that were only counted, to leave room for answers.",
            value=recorder.failures_left_out,
        )
        yield CounterMetricFamily("headwater_records_written", "Records written.", value=recorder.written)


def _requests(models: list[Loaded]) -> Iterator[Metric]:
    total = CounterMetricFamily(
        "headwater_inference_requests", "Requests, by how they ended.", labels=[*_MODEL, "reason"]
    )
    seconds = HistogramMetricFamily("headwater_inference_seconds", "From arrival to answer.", labels=_MODEL)
    for loaded in models:
        counts, labels = loaded.requests, _labels(loaded)
        total.add_metric([*labels, "OK"], counts.succeeded)
        for reason, count in list(counts.failed.items()):
            total.add_metric([*labels, reason], count)
        buckets, below = [], 0
        for bound, count in zip((*COUNTED_BOUNDS_S, math.inf), list(counts.latencies), strict=True):
            below += count
            if bound in _SHOWN:
                buckets.append(("+Inf" if bound == math.inf else str(bound), float(below)))
        seconds.add_metric(labels, buckets, counts.succeeded_s)
    yield from (total, seconds)


def _batches(models: list[Loaded]) -> Iterator[Metric]:
    queue = GaugeMetricFamily("headwater_inference_queue", "Requests that wait.", labels=_MODEL)
    batches = CounterMetricFamily("headwater_inference_batches", "Batches computed.", labels=_MODEL)
    rows = CounterMetricFamily("headwater_inference_rows", "Rows computed.", labels=_MODEL)
    engine = CounterMetricFamily("headwater_inference_engine_seconds", "Time in the engine.", labels=_MODEL)
    waited = CounterMetricFamily("headwater_inference_queue_seconds", "Time in the queue.", labels=_MODEL)
    sizes = HistogramMetricFamily("headwater_inference_batch_rows", "Rows of the batches.", labels=_MODEL)
    for loaded in models:
        counts, labels = loaded.batcher.counts, _labels(loaded)
        queue.add_metric(labels, loaded.batcher.queue_length)
        batches.add_metric(labels, counts.batches)
        rows.add_metric(labels, counts.rows)
        engine.add_metric(labels, counts.engine_s)
        waited.add_metric(labels, counts.queue_s)
        below = [sum(count for size, (count, _) in counts.by_rows.items() if size <= bound) for bound in _BATCH_ROWS]
        buckets = [(str(bound), float(count)) for bound, count in zip(_BATCH_ROWS, below, strict=True)]
        sizes.add_metric(labels, [*buckets, ("+Inf", float(counts.batches))], counts.rows)
    yield from (queue, batches, rows, engine, waited, sizes)


def _preparations(models: list[Loaded]) -> Iterator[Metric]:
    rows = CounterMetricFamily("headwater_inference_prepared_rows", "Rows of raw bytes prepared.", labels=_MODEL)
    seconds = CounterMetricFamily("headwater_inference_preparation_seconds", "Time of preparing them.", labels=_MODEL)
    for loaded in models:
        if loaded.preparation.digest:
            rows.add_metric(_labels(loaded), loaded.preparation.rows)
            seconds.add_metric(_labels(loaded), loaded.preparation.seconds)
    yield from (rows, seconds)


def _caches(models: list[Loaded]) -> Iterator[Metric]:
    hits = CounterMetricFamily("headwater_inference_cache_hits", "Answers that were kept.", labels=_MODEL)
    misses = CounterMetricFamily("headwater_inference_cache_misses", "Questions with no kept answer.", labels=_MODEL)
    evicted = CounterMetricFamily("headwater_inference_cache_evicted", "Answers that others displaced.", labels=_MODEL)
    entries = GaugeMetricFamily("headwater_inference_cache_entries", "Answers that are kept.", labels=_MODEL)
    size = GaugeMetricFamily("headwater_inference_cache_bytes", "Memory of kept answers.", labels=_MODEL)
    for loaded in models:
        if not loaded.cache.enabled:
            continue
        counts, labels = loaded.cache.counts, _labels(loaded)
        hits.add_metric(labels, counts.hits)
        misses.add_metric(labels, counts.misses)
        evicted.add_metric(labels, counts.evicted)
        entries.add_metric(labels, len(loaded.cache))
        size.add_metric(labels, loaded.cache.size_bytes)
    yield from (hits, misses, evicted, entries, size)


def _labels(loaded: Loaded) -> list[str]:
    return [str(loaded.deployment.name), loaded.version_number]
