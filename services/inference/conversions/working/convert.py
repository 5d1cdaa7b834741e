"""Converts one file: makes another form of it, and compares the two."""

import dataclasses
import os

from services.inference.conversions.evidence import BASELINE, Candidate, Evidence
from services.inference.conversions.model import Plan
from services.inference.conversions.working import forms
from services.inference.conversions.working.made import Bench, arranged, timed
from services.inference.conversions.working.outcome import Outcome
from services.inference.conversions.working.source import Source
from services.inference.conversions.working.timing import measure
from services.inference.engines.engine import Engine
from services.inference.engines.order import Order


def convert(source: Source, plan: Plan, order: Order, parity: bytes, pipeline: str) -> Outcome:
    """What comes of a conversion.

    Raises:
        CannotConvert, ModelRefused, EngineFailed: there is nothing to compare.
    """
    assert plan.conversion is not None
    bench = Bench(source, plan, order, parity, pipeline)
    threads = order.options.threads or os.cpu_count() or 1
    candidate, made, error = bench.make(plan.conversion.target, threads)
    if made is not None:
        candidate = _timed(candidate, bench, made.engine)
    evidence = Evidence(
        order.format,
        bench.digest(),
        len(source.content),
        bench.samples.record is not None,
        len(bench.samples.inputs),
        (candidate,),
        versions=forms.versions(),
        cores=os.cpu_count() or 1,
        inputs=source.signature.inputs,
        outputs=source.signature.outputs,
    )
    if made is None or error is not None:
        assert error is not None
        return Outcome(evidence, failure_reason=error.reason, failure=error.message)
    evidence = dataclasses.replace(evidence, chosen=candidate.name, speedup=candidate.speedup)
    return Outcome(evidence, made.content, forms.MADE_AS[made.target], bench.record_of(made))


def _timed(candidate: Candidate, bench: Bench, engine: Engine) -> Candidate:
    """How long it takes for the first sample, beside the source: a first impression, which a tuning makes exact."""
    inputs = bench.samples.inputs[0]
    others = arranged(bench.source.signature, engine.signature, inputs)
    calls = {BASELINE: lambda: bench.source.engine.predict(inputs), "": lambda: engine.predict(others)}
    return timed(candidate, measure(calls, BASELINE, seconds=0.0)[""])
