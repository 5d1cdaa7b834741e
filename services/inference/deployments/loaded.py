"""A model version that is loaded and answers."""

import bisect
import dataclasses
import itertools
import time
from collections.abc import Sequence

from chassis.deadline import remaining_s
from services.inference.batching.batcher import Batcher
from services.inference.batching.waiting import NEVER
from services.inference.cache.cache import Kept, ResponseCache
from services.inference.cache.key import question_key
from services.inference.cache.options import NOTHING_KEPT
from services.inference.deployments.model import Deployment
from services.inference.deployments.options import Options
from services.inference.features import choose_outputs
from services.inference.guard.watch import Watch
from services.inference.models.source import ModelFile, ModelVersion
from services.inference.preparing.preparation import Preparation
from services.inference.question import Question
from services.inference.records.model import Served
from services.inference.records.recording import Recording
from services.inference.tensors.model import Signature, Tensor
from services.inference.traffic.comparison import Comparisons

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper ends of the buckets that metrics show."""
COUNTED_BOUNDS_S = tuple(
    high if part == 4 else low * (high / low) ** (part / 4)
    for low, high in itertools.pairwise((LATENCY_BOUNDS_S[0] / 10, *LATENCY_BOUNDS_S))
    for part in (1, 2, 3, 4)
)
"""Those of the buckets that requests are counted in: four for each of the former, so that a p99 can be told."""


@dataclasses.dataclass(slots=True)
class RequestCounts:
    """The requests to one loaded version. Plain numbers, so that counting costs less than a microsecond; whoever asks
    for metrics makes something of them. Changed in the event loop only."""

    succeeded: int = 0
    succeeded_s: float = 0.0
    failed: dict[str, int] = dataclasses.field(default_factory=dict)
    """How many failed, by the reason of their error."""
    failed_s: float = 0.0
    last_ms: int = 0
    """When the last one was answered, in milliseconds since 1970."""
    latencies: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(COUNTED_BOUNDS_S) + 1))

    def succeed(self, seconds: float, now_ms: int) -> None:
        """Count one answer."""
        self.succeeded += 1
        self.succeeded_s += seconds
        self.last_ms = now_ms
        self.latencies[bisect.bisect_left(COUNTED_BOUNDS_S, seconds)] += 1

    def fail(self, reason: str, seconds: float) -> None:
        """Count one failure."""
        self.failed[reason] = self.failed.get(reason, 0) + 1
        self.failed_s += seconds


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The outputs that a question asked for, its rows, and of the batch that it was computed in the rows and the time
    in the engine: 0 both for one that comes from the cache."""

    outputs: Sequence[Tensor]
    rows: int
    batch_rows: int
    engine_s: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """What answers for a deployment: a version, its file, and the engine behind its queue.

    ``deployment`` is as it was when this was loaded; its Follower lets this answer as it says by now.
    """

    deployment: Deployment
    version: ModelVersion
    file: ModelFile
    batcher: Batcher
    preparation: Preparation
    requests: RequestCounts = dataclasses.field(default_factory=RequestCounts)
    comparisons: Comparisons = dataclasses.field(default_factory=Comparisons)
    """Of its answers as a shadow with those that were given."""
    watch: Watch = dataclasses.field(default_factory=Watch)
    cache: ResponseCache = dataclasses.field(default_factory=lambda: ResponseCache(NOTHING_KEPT))
    served: Served = dataclasses.field(init=False)
    """What the records of its answers say of it; put together once, not for each of them."""

    def __post_init__(self) -> None:
        name = self.deployment.name
        served = Served(name.project, name.deployment, str(self.version.name), self.version.digest)
        object.__setattr__(self, "served", served)

    def record_by(self, recording: Recording) -> None:
        """From now on, record the tensors of requests by these rules."""
        if recording != self.served.recording:
            object.__setattr__(self, "served", dataclasses.replace(self.served, recording=recording))

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""
        return self.preparation.signature(self.batcher.signature)

    async def compute(self, question: Question) -> Answer:
        """The answer of this version.

        Raises:
            SignatureMismatch: the inputs or the outputs asked for are not the model's.
            RawRefused, RowUnusable: of raw bytes, see Preparation.arrays.
            InvalidRequest, QueueFull, QueueTimedOut, ModelNotReady, EngineFailed, EngineTimedOut: see Batcher.compute.
        """
        if not self.cache.enabled:
            return await self._compute(question)
        self.batcher.check_priority(question.priority)  # whether it is refused must not depend on what is kept
        computed: list[Answer] = []

        async def compute() -> Kept:
            computed.append(await self._compute(question))
            return Kept(computed[0].outputs, computed[0].rows)

        kept, _ = await self.cache.answer(
            lambda: question_key(self.version.digest, self.preparation.digest, question), compute
        )
        return computed[0] if computed else Answer(kept.outputs, kept.rows, 0)

    async def _compute(self, question: Question) -> Answer:
        signature, deadline = self.batcher.signature, _deadline(question)
        chosen = [(index, signature.outputs[index]) for index in choose_outputs(signature, question)]
        computed = await self.batcher.compute(
            await self.preparation.arrays(question.inputs)
            if self.preparation.wants(question.inputs)
            else signature.arrange(question.inputs),
            priority=question.priority,
            deadline=deadline,
        )
        outputs = [Tensor(spec.name, spec.datatype, computed.outputs[index]) for index, spec in chosen]
        return Answer(outputs, computed.rows, computed.batch_rows, computed.engine_s)

    def prepare_by(self, options: Options) -> None:
        """From now on, take what a deployment with these options takes."""
        self.preparation.follow(options.preparing.takes, options.batching.max_queue_requests)

    def served_for(self, question: Question) -> Served:
        """What the record of an answer to this question says: ``served``, and what prepared it, if something did."""
        if not self.preparation.wants(question.inputs):
            return self.served
        return dataclasses.replace(self.served, preprocessing_digest=self.preparation.digest)

    @property
    def version_number(self) -> str:
        """The version as KServe v2 names it."""
        return self.version.name.version


def _deadline(question: Question) -> float:
    """When nobody waits for an answer any more, a reading of ``time.monotonic``."""
    left_s = remaining_s()
    if question.timeout_s is not None:
        left_s = question.timeout_s if left_s is None else min(left_s, question.timeout_s)
    return NEVER if left_s is None else time.monotonic() + left_s
