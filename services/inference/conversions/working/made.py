"""A form of the source that was made and compared."""

import dataclasses
import hashlib
import time
from collections.abc import Sequence

from headwater.errors import HeadwaterError
from services.inference.conversions.evidence import Candidate
from services.inference.conversions.model import Gate, Plan, Target
from services.inference.conversions.working import comparing, forms, samples
from services.inference.conversions.working.samples import Samples
from services.inference.conversions.working.source import Source
from services.inference.conversions.working.timing import Times
from services.inference.engines.engine import Engine
from services.inference.engines.formats import load_here
from services.inference.engines.options import EngineOptions
from services.inference.engines.order import Order
from services.inference.tensors.model import Array, Signature

_EXAMPLE_ROWS = 2
"""torch.export takes a size of 1 for a constant."""


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """The file, the engine that a deployment would compute it with, and its answers to the samples."""

    target: Target
    content: bytes
    engine: Engine
    outputs: Sequence[Sequence[Array]]


class Bench:
    """A source, the samples, and its answers to them."""

    def __init__(self, source: Source, plan: Plan, order: Order, parity: bytes, pipeline: str) -> None:
        self.source = source
        self.plan = plan
        self.order = order
        self.samples: Samples = (
            samples.recorded(source.signature, parity, pipeline)
            if parity
            else samples.drawn(source.signature, plan.sample_count)
        )
        self.expected = [source.engine.predict(inputs) for inputs in self.samples.inputs]

    def make(self, target: Target, threads: int) -> tuple[Candidate, Made | None, HeadwaterError | None]:
        """A form of the source; None with the reason where it cannot be made, or answers otherwise."""
        begun = time.perf_counter()
        candidate = Candidate(named(target.value, threads), target.value, threads)
        try:
            content = forms.make(self.source, target, self.request(_EXAMPLE_ROWS))
            taken = time.perf_counter() - begun
            candidate = dataclasses.replace(candidate, size_bytes=len(content), conversion_s=taken)
            engine = load_here(content, self.order_of(target, threads))
            outputs = self.answers(engine)
        except HeadwaterError as error:
            return dataclasses.replace(candidate, refused=error.message), None, error
        candidate, why = self.judged(candidate, outputs, self.plan.gate)
        return candidate, Made(target, content, engine, outputs), why

    def order_of(self, target: Target, threads: int) -> Order:
        """How what was made is loaded: as the source's signature says, where its own file does not tell it."""
        signature = self.source.signature
        said = EngineOptions(threads=threads)
        if target is Target.TORCHSCRIPT:
            said = EngineOptions(threads=threads, inputs=signature.inputs, outputs=signature.outputs)
        return dataclasses.replace(
            self.order, format=forms.MADE_AS[target], options=said, module="", signature=signature, code=None
        )

    def judged(
        self, candidate: Candidate, outputs: Sequence[Sequence[Array]], gate: Gate
    ) -> tuple[Candidate, HeadwaterError | None]:
        """The candidate with what its answers are like, and why that is not close enough."""
        found = comparing.differences(self.source.signature, self.expected, outputs, gate)
        agreement = comparing.top1_agreement(self.expected, outputs)
        candidate = dataclasses.replace(candidate, differences=found, top1_agreement=agreement)
        try:
            comparing.check(gate, found, agreement)
        except HeadwaterError as error:
            return dataclasses.replace(candidate, refused=error.message), error
        return candidate, None

    def record_of(self, made: Made) -> bytes:
        """The parity record of what was made; empty where the source has none.

        Raises:
            ParityInvalid: it would be too large.
        """
        return self.samples.record_of(made.engine.signature, self._named(made))

    def request(self, rows: int) -> Sequence[Array]:
        """A request of so many rows: of the record's own, where there is one, for random ones might be none that the
        model takes."""
        if self.samples.record is None:
            return samples.rows_of(self.source.signature, rows)
        first = self.samples.inputs[0]
        if not self.source.signature.batchable:
            return first
        return [array[[0] * rows] for array in first]

    def digest(self) -> str:
        """Of the source's file."""
        return f"sha256:{hashlib.sha256(self.source.content).hexdigest()}"

    def answers(self, engine: Engine) -> list[list[Array]]:
        """What an engine answers to the samples."""
        return [self._answer(engine, inputs) for inputs in self.samples.inputs]

    def _answer(self, engine: Engine, inputs: Sequence[Array]) -> list[Array]:
        """In the order of the source's outputs."""
        mine = [spec.name for spec in engine.signature.outputs]
        wanted = [spec.name for spec in self.source.signature.outputs]
        given = engine.predict(arranged(self.source.signature, engine.signature, inputs))
        return [given[mine.index(name)] for name in wanted] if set(mine) == set(wanted) else given

    def _named(self, made: Made) -> Sequence[Sequence[Array]]:
        mine = [spec.name for spec in self.source.signature.outputs]
        wanted = [spec.name for spec in made.engine.signature.outputs]
        if set(mine) != set(wanted):
            return made.outputs
        return [[given[mine.index(name)] for name in wanted] for given in made.outputs]


def arranged(source: Signature, target: Signature, inputs: Sequence[Array]) -> list[Array]:
    """``inputs``, which are in the order of ``source``, in that of ``target``."""
    by_name = {spec.name: array for spec, array in zip(source.inputs, inputs, strict=True)}
    if by_name.keys() != {spec.name for spec in target.inputs}:
        return list(inputs)
    return [by_name[spec.name] for spec in target.inputs]


def named(form: str, threads: int) -> str:
    """What a candidate is called."""
    return f"{form}, {threads} thread{'' if threads == 1 else 's'}"


def timed(candidate: Candidate, times: Times) -> Candidate:
    """The candidate with how long it took."""
    low, high = times.quarters_s
    return dataclasses.replace(
        candidate,
        median_ms=times.median_s * 1000,
        low_ms=low * 1000,
        high_ms=high * 1000,
        speedup=times.speedup,
        rounds=len(times.seconds),
    )
