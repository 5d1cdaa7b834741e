"""A model version that is loaded and answers."""

import bisect
import dataclasses
from collections.abc import Sequence

from services.inference.batching.batcher import Batcher
from services.inference.deployments.model import Deployment
from services.inference.deployments.options import Options
from services.inference.models.source import ModelFile, ModelVersion
from services.inference.preparing.preparation import Preparation
from services.inference.question import Question
from services.inference.records.model import Served
from services.inference.tensors.model import Signature, Tensor

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


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
    latencies: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))

    def succeed(self, seconds: float, now_ms: int) -> None:
        """Count one answer."""
        self.succeeded += 1
        self.succeeded_s += seconds
        self.last_ms = now_ms
        self.latencies[bisect.bisect_left(LATENCY_BOUNDS_S, seconds)] += 1

    def fail(self, reason: str, seconds: float) -> None:
        """Count one failure."""
        self.failed[reason] = self.failed.get(reason, 0) + 1
        self.failed_s += seconds


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The outputs that a question asked for, its rows, and the rows of the batch that it was computed in."""

    outputs: Sequence[Tensor]
    rows: int
    batch_rows: int


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """What answers for a deployment: a version, its file, and the engine behind its queue."""

    deployment: Deployment
    version: ModelVersion
    file: ModelFile
    batcher: Batcher
    preparation: Preparation
    requests: RequestCounts = dataclasses.field(default_factory=RequestCounts)
    served: Served = dataclasses.field(init=False)
    """What the records of its answers say of it; put together once, not for each of them."""

    def __post_init__(self) -> None:
        name = self.deployment.name
        served = Served(name.project, name.deployment, str(self.version.name), self.version.digest)
        object.__setattr__(self, "served", served)

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""
        return self.preparation.signature(self.batcher.signature)

    async def compute(self, question: Question) -> Answer:
        """The answer of this version.

        Raises:
            SignatureMismatch: the inputs or the outputs asked for are not the model's.
            RawRefused, RowUnusable: of raw bytes, see Preparation.arrays.
            QueueFull, ModelNotReady, EngineFailed, EngineTimedOut: see Batcher.compute.
        """
        signature = self.batcher.signature
        chosen = [(index, signature.outputs[index]) for index in signature.choose_outputs(question.outputs)]
        computed = await self.batcher.compute(
            await self.preparation.arrays(question.inputs)
            if self.preparation.wants(question.inputs)
            else signature.arrange(question.inputs)
        )
        outputs = [Tensor(spec.name, spec.datatype, computed.outputs[index]) for index, spec in chosen]
        return Answer(outputs, computed.rows, computed.batch_rows)

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
