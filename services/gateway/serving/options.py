"""The options of a deployment in plain words. Pure; docs/reference/batching.md and engines.md have each of them."""

import dataclasses
from collections.abc import Iterator, Sequence

from headwater.datasets import figures
from headwater.inference.v1 import (
    batching_pb2,
    deployments_pb2,
    drift_pb2,
    engines_pb2,
    guard_pb2,
    preparing_pb2,
    recording_pb2,
)
from services.gateway.serving.wording import duration, ms, percent

_NAMED = 12
"""Names of columns, of sizes and the like that a sentence has at most."""


@dataclasses.dataclass(frozen=True, slots=True)
class Topic:
    """What is said of one thing."""

    title: str
    sentences: Sequence[str]


def topics(deployment: deployments_pb2.Deployment) -> Sequence[Topic]:
    """All of them, in a fixed order."""
    return [
        Topic("Takes", list(_takes(deployment.preparing))),
        Topic("Engine", list(_engine(deployment.engine))),
        Topic("Batching", list(_batching(deployment.batching))),
        Topic("Cache", list(_cache(deployment))),
        Topic("Recording", list(_recording(deployment.recording))),
        *rules(deployment.guard),
        Topic("Drift", list(_drift(deployment.drift))),
    ]


def rules(guard: guard_pb2.Guard) -> Sequence[Topic]:
    """Those by which a deployment defends itself."""
    return [Topic("Breaker", list(_breaker(guard))), Topic("Going back", list(_rollback(guard)))]


def _takes(preparing: preparing_pb2.Preparing) -> Iterator[str]:
    match preparing.input:
        case preparing_pb2.Preparing.INPUT_RAW:
            yield "Only image files, which the version's own pipeline prepares."
        case preparing_pb2.Preparing.INPUT_TENSORS:
            yield "Only the inputs of the model: who asks has prepared them."
        case _:
            yield "The inputs of the model or, where the version has a pipeline, image files that it prepares."


def _engine(engine: engines_pb2.Engine) -> Iterator[str]:
    if engine.HasField("triton"):
        there = engine.triton
        how = "over TLS" if there.tls else "without TLS"
        yield f"{there.address} computes it, as {there.model_name} version {there.model_version}, {how}."
    elif engine.callable:
        yield f"The Python function {engine.callable} computes it, on {engine.device or 'cpu'}."
    else:
        yield f"It is computed on {engine.device or 'cpu'}."
    if engine.architecture:
        yield f"Its file is the state of the architecture {engine.architecture}."
    if engine.autocast:
        precision = engines_pb2.Engine.Autocast.Name(engine.autocast).removeprefix("AUTOCAST_")
        yield f"Operators that may lose precision are computed in {precision}."
    if engine.threads:
        yield f"{_count(engine.threads, 'thread')} compute{'s' if engine.threads == 1 else ''} a batch."
    if engine.instances > 1:
        yield f"{engine.instances} engines compute batches at the same time."


def _batching(batching: deployments_pb2.Batching) -> Iterator[str]:
    if batching.max_batch_size == 1:
        yield "Requests are computed one by one."
    else:
        rows = batching.max_batch_size or 64
        yield f"What queued while the engine was busy is computed together, up to {rows:,} rows."
        wait = batching.HasField("max_delay") and batching.max_delay.ToNanoseconds()
        yield (
            f"An idle engine waits up to {duration(batching.max_delay)} for more, where measured times say that "
            "answers come earlier by it."
            if wait
            else "An idle engine never waits."
        )
    if batching.preferred_batch_sizes:
        yield f"Batches of {_some([f'{size:,}' for size in batching.preferred_batch_sizes], 'or')} rows are preferred."
    yield f"At most {batching.max_queue_size or 1024:,} requests wait; one more is refused."
    if batching.HasField("queue_timeout") and batching.queue_timeout.ToNanoseconds():
        yield f"A request that has waited for {duration(batching.queue_timeout)} is refused."
    if batching.priority_levels:
        default = batching.default_priority_level or batching.priority_levels
        yield f"There are {batching.priority_levels} priorities, 1 the first; requests that name none have {default}."
    yield from map(_padding, batching.padding)


def _padding(padding: batching_pb2.Padding) -> str:
    named = _some([f"{each.name} (dimension {each.dimension})" for each in padding.inputs], "and")
    sizes = _some([f"{size:,}" for size in padding.sizes], "or") if padding.sizes else "a power of two"
    return f"Inputs of different lengths share a batch: {named} is filled up to {sizes}."


def _cache(deployment: deployments_pb2.Deployment) -> Iterator[str]:
    cache = deployment.cache
    if not cache.enabled:
        yield "No answer is kept."
        return
    size = figures.size(cache.max_bytes or 64 * 2**20)
    kept = f"for {duration(cache.ttl)}" if cache.HasField("ttl") else "for as long as there is room"
    yield (
        f"Equal requests get the answer that was kept of the first: up to {size} "
        f"and {cache.max_entries or 65_536:,} answers of each version, {kept}."
    )


def _recording(recording: recording_pb2.Recording) -> Iterator[str]:
    when = []
    if recording.sample_rate:
        share = percent(100 * recording.sample_rate)
        when.append("every request" if recording.sample_rate == 1 else f"{share} of the requests")
    if recording.on_error and recording.sample_rate < 1:
        when.append("every request that failed")
    if recording.HasField("low_confidence") and recording.sample_rate < 1:
        unsure = recording.low_confidence
        when.append(f"every answer with less than {figures.number(unsure.below)} in {unsure.output}")
    yield "Every request is recorded, with digests of what was asked and answered."
    if not when:
        yield "Its values are not."
        return
    size = figures.size(recording.max_body_bytes or 65_536)
    yield f"Values are recorded of {_some(when, 'and')}, up to {size} of each side."
    redacted = [name for each in (*recording.inputs, *recording.outputs) for name in _redacted(each)]
    if redacted:
        yield f"Never recorded: {_some(redacted, 'and')}."


def _redacted(tensor: recording_pb2.RecordedTensor) -> list[str]:
    return [tensor.name] if tensor.redacted else [f"{tensor.name}.{column}" for column in tensor.redacted_columns]


def _breaker(guard: guard_pb2.Guard) -> Iterator[str]:
    breaker = guard.breaker
    if breaker.disabled:
        yield "It is switched off: a version is asked however often it fails."
        return
    yield f"A version is not asked any more after {_count(breaker.consecutive_failures or 5, 'failure')} in a row."
    rate = percent(100 * (breaker.max_error_rate or 0.5))
    slow = (
        f", or more than one in a hundred takes the engine over {ms(breaker.max_p99_ms)}" if breaker.max_p99_ms else ""
    )
    yield (
        f"Nor when more than {rate} of at least {breaker.min_requests or 20:,} requests within "
        f"{ms(guard.window_ms or 30_000)} fail{slow}."
    )
    if breaker.also_counts:
        yield f"As failures count too: {_some(breaker.also_counts, 'and')}."
    if breaker.min_callers > 1:
        yield f"Failures at fewer than {breaker.min_callers} callers are taken for what they send."
    open_ms, probes = breaker.open_ms or 5_000, breaker.probes or 3
    longest = max(breaker.max_open_ms or 60_000, open_ms)
    more = f", and each time twice as long up to {ms(longest)}" if longest > open_ms else ""
    asked = f"{probes:,} requests try" if probes > 1 else "one request tries"
    yield f"After {ms(open_ms)}{more}, {asked} whether it answers again."


def _rollback(guard: guard_pb2.Guard) -> Iterator[str]:
    rollback = guard.rollback
    if rollback.disabled:
        yield "It never goes back to an earlier version by itself."
        return
    rate = percent(100 * (rollback.max_error_rate or 0.2))
    slow = f", or its p99 is over {ms(rollback.max_p99_ms)}" if rollback.max_p99_ms else ""
    yield (
        f"For {ms(rollback.probation_ms or 300_000)} after a version was put in place, the deployment goes back to the "
        f"last one that served well when the breaker opens, or more than {rate} of its requests fail{slow}."
    )
    yield f"Later it goes back when the breaker has not closed for {ms(rollback.after_open_ms or 30_000)}."


def _drift(drift: drift_pb2.Drift) -> Iterator[str]:
    if not drift.enabled:
        yield "It is not watched."
        return
    data = drift.dataset_version or "the data that the version was trained on"
    split = f", split {drift.split}" if drift.split else ""
    yield (
        f"Windows of {ms(drift.window_ms or 600_000)} and at least {drift.min_rows or 500:,} rows are compared with "
        f"{data}{split}; of what it does not tell, with the first {drift.first_rows or 1000:,} rows."
    )
    yield (
        f"A PSI over {figures.number(drift.alert_psi or 0.2)}, or a KS over {figures.number(drift.alert_ks or 0.2)}, "
        "that is not by chance is an incident."
    )
    if drift.features:
        yield f"Only watched: {_some(drift.features, 'and')}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _some(names: Sequence[str], word: str) -> str:
    """``a, b and c``; of very many the first, and how many more."""
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} {word} {len(names) - _NAMED} more"
    return f" {word} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
