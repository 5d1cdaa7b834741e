"""Looks for the fastest way to compute a file on this machine."""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from services.inference.conversions.choice import best_batch, choose, why_not
from services.inference.conversions.evidence import BASELINE, BatchTime, Candidate, Evidence
from services.inference.conversions.model import Plan, Target
from services.inference.conversions.working import forms
from services.inference.conversions.working.compiling import compile_source
from services.inference.conversions.working.made import Bench, Made, arranged, named, timed
from services.inference.conversions.working.outcome import Outcome
from services.inference.conversions.working.source import Source
from services.inference.conversions.working.timing import Times, measure
from services.inference.engines.engine import Engine
from services.inference.engines.formats import load_here
from services.inference.engines.order import Order
from services.inference.engines.pytorch.module import ModuleEngine

_CURVE_ROUNDS = 3
_NOT_SERVED = "CANNOT_BE_SERVED: measured, but what serves may not start the C++ compiler that this needs at its start."
_LONGEST_BATCH_MS = 2000.0
"""After a batch that takes longer, no larger one is tried."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Way:
    """A candidate with the engine that computes it; ``made`` is None of the source itself. One that is not ``served``
    is measured as evidence, and never chosen."""

    candidate: Candidate
    engine: Engine
    made: Made | None = None
    served: bool = True


def tune(source: Source, plan: Plan, order: Order, parity: bytes, pipeline: str) -> Outcome:
    """What is found.

    Raises:
        CannotConvert, ModelRefused, EngineFailed: the source itself cannot be measured.
    """
    tuning = plan.tuning
    assert tuning is not None
    bench = Bench(source, plan, order, parity, pipeline)
    cores = os.cpu_count() or 1
    usual = order.options.threads or cores
    baseline = Candidate(BASELINE, order.format, usual, size_bytes=len(source.content), top1_agreement=1.0)
    ways = [_Way(baseline, source.engine)]
    refused: list[_Way] = []
    for way in _others(bench, _threads(cores), usual, tuning.int8):
        (refused if way.candidate.refused else ways).append(way)
    calls = {way.candidate.name: _call(bench, way, tuning.rows) for way in ways}
    beside = [way.candidate.name for way in ways if not way.served]
    times = measure(calls, BASELINE, tuning.seconds, beside=beside)
    measured = [_measured(way, times[way.candidate.name]) for way in ways]
    best = choose(measured, tuning.min_speedup)
    shown = [
        each
        if each.name == best.name
        else dataclasses.replace(each, refused=why_not(each, measured[0], tuning.min_speedup))
        for each in measured
    ]
    chosen = next(way for way in ways if way.candidate.name == best.name)
    curve = _curve(bench, chosen, tuning.max_batch_size)
    evidence = Evidence(
        order.format,
        bench.digest(),
        len(source.content),
        bench.samples.record is not None,
        len(bench.samples.inputs),
        (*shown, *(way.candidate for way in refused)),
        best.name,
        best.speedup,
        best_batch(curve),
        curve,
        forms.versions(),
        cores,
        source.signature.inputs,
        source.signature.outputs,
    )
    if chosen.made is None:
        return Outcome(evidence)
    made = chosen.made
    return Outcome(evidence, made.content, forms.MADE_AS[made.target], bench.record_of(made))


def _others(bench: Bench, threads: Sequence[int], usual: int, int8: bool) -> Iterator[_Way]:
    """Every way but the baseline; of one that cannot be made, or answers otherwise, its first form alone."""
    source = bench.source
    for count in threads:
        if count != usual:
            order = dataclasses.replace(bench.order, module="")
            order = dataclasses.replace(order, options=dataclasses.replace(order.options, threads=count))
            candidate = Candidate(named(source.format, count), source.format, count, top1_agreement=1.0)
            # PyTorch's threads are the process's, and set before each measurement.
            engine = source.engine if isinstance(source.engine, ModuleEngine) else load_here(source.content, order)
            yield _Way(dataclasses.replace(candidate, size_bytes=len(source.content)), engine)
    for target in _targets(source, int8):
        first, made, _ = bench.make(target, threads[-1])
        if made is None or first.refused:
            yield _Way(first, source.engine)
            continue
        yield _Way(first, made.engine, made)
        for count in threads[:-1]:
            engine = (
                made.engine if target is Target.TORCHSCRIPT else load_here(made.content, bench.order_of(target, count))
            )
            again = dataclasses.replace(first, name=named(target.value, count), threads=count)
            yield _Way(again, engine, made)
    if source.format != "onnx":  # last: nothing else is to be made in a process in which PyTorch has compiled
        candidate, compiled = compile_source(bench, usual)
        yield _Way(candidate, compiled or source.engine, served=False)


def _measured(way: _Way, times: Times) -> Candidate:
    candidate = timed(way.candidate, times)
    return candidate if way.served else dataclasses.replace(candidate, refused=_NOT_SERVED)


def _targets(source: Source, int8: bool) -> Sequence[Target]:
    wanted = [Target.TORCHSCRIPT] if source.positional is not None else []
    wanted += [Target.ONNX] if source.format != "onnx" else []
    return [*wanted, *([Target.ONNX_INT8] if int8 else [])]


def _threads(cores: int) -> Sequence[int]:
    """1, 2, 4 … and all cores."""
    counts = {1 << power for power in range(cores.bit_length()) if 1 << power <= cores}
    return sorted({*counts, cores})


def _call(bench: Bench, way: _Way, rows: int) -> Callable[[], object]:
    """Computes a request of so many rows once."""
    inputs = arranged(bench.source.signature, way.engine.signature, bench.request(rows))
    if not isinstance(way.engine, ModuleEngine):
        return lambda: way.engine.predict(inputs)

    def call() -> object:
        if torch.get_num_threads() != way.candidate.threads:  # they are the process's
            torch.set_num_threads(way.candidate.threads)
        return way.engine.predict(inputs)

    return call


def _curve(bench: Bench, way: _Way, largest: int) -> tuple[BatchTime, ...]:
    """How long batches of 1, 2, 4 … rows take; nothing where rows cannot be batched."""
    times: list[BatchTime] = []
    rows = 1
    while bench.source.signature.batchable and rows <= largest:
        call = _call(bench, way, rows)
        call()
        taken = []
        for _ in range(_CURVE_ROUNDS):
            begun = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begun)
        times.append(BatchTime(rows, statistics.median(taken) * 1000))
        if times[-1].median_ms > _LONGEST_BATCH_MS:
            break
        rows *= 2
    return tuple(times)
