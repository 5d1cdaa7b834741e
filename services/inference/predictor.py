"""The use case of the service: a question in, an answer and its record out."""

import asyncio
import dataclasses
from collections.abc import Sequence

from chassis.clock import Clock
from chassis.ids import new_id
from headwater.errors import HeadwaterError, InvalidArgument, NotFound
from services.inference.deployments.follower import Follower
from services.inference.deployments.loaded import Answer, Loaded
from services.inference.deployments.serving import Serving
from services.inference.deployments.target import Target
from services.inference.errors import OutOfTime, RecordsBehind
from services.inference.question import Question
from services.inference.records.model import Answered
from services.inference.records.recorder import Recorder
from services.inference.tensors.model import Tensor

_NOBODY_ELSE = (InvalidArgument, NotFound, OutOfTime, RecordsBehind)
"""What another version would say, too: the question is wrong, its time is over, or no answer could be recorded."""


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """The answer: the outputs that were asked for, who computed them, and the id under which it is recorded.

    Attributes:
        variant: the name of the variant that answered; empty where a deployment has only its one version.
        fallback: why the one that was chosen did not answer, as the reason of its error; empty if it did.
    """

    request_id: str
    loaded: Loaded
    outputs: Sequence[Tensor]
    variant: str = ""
    fallback: str = ""


class Predictor:
    """Answers questions with what is loaded; every answer is recorded before it is given."""

    def __init__(self, serving: Serving, recorder: Recorder, clock: Clock) -> None:
        self._serving = serving
        self._recorder = recorder
        self._clock = clock

    async def predict(self, question: Question) -> Prediction:
        """The answer of the version that was asked for, or of the one that was chosen, or of one that stands in for it.

        Raises:
            ModelNotFound, ModelNotReady, VersionNotServed: nobody answers to this name and version.
            SignatureMismatch: the inputs or the outputs asked for are not the model's.
            QueueFull, RecordsBehind: too much is asked; it may be asked again a little later.
            EngineFailed, EngineTimedOut, OutOfTime: it could not be computed, or not in time.
        """
        follower = self._serving.follower(question.model)
        target = follower.choose(question)
        try:
            return await self._ask(question, follower, target, question.arrived)
        except HeadwaterError as error:
            if question.version or not follower.has_stand_ins or isinstance(error, _NOBODY_ELSE):
                raise
            return await self._ask_others(question, follower, target, error)

    async def _ask_others(
        self, question: Question, follower: Follower, chosen: Target, failure: HeadwaterError
    ) -> Prediction:
        """The first answer of those who stand in for ``chosen``; where there is none, its own ``failure``."""
        asked = [chosen.loaded]
        signature = chosen.loaded.signature if chosen.loaded is not None else None
        for target in self._serving.stand_ins(follower):
            loaded = target.loaded
            if loaded is None or any(loaded is each for each in asked):
                continue
            if signature is not None and loaded.signature != signature:
                continue  # it would take the question for another one
            asked.append(loaded)
            begun = self._clock.monotonic()
            try:
                return await self._ask(question, follower, target, begun, fallback=failure.reason)
            except HeadwaterError as error:
                if isinstance(error, _NOBODY_ELSE):
                    raise
        raise failure

    async def _ask(
        self, question: Question, follower: Follower, target: Target, begun: float, fallback: str = ""
    ) -> Prediction:
        loaded = target.loaded
        if loaded is None or not loaded.batcher.answers:
            raise follower.not_ready()
        try:
            computed = await self._compute(question, loaded)
        except HeadwaterError as error:
            loaded.requests.fail(error.reason, self._clock.monotonic() - begun)
            raise
        except asyncio.CancelledError:
            loaded.requests.fail("CANCELLED", self._clock.monotonic() - begun)
            raise
        variant = target.name if fallback or follower.routed else ""
        return self._answer(question, loaded, computed, begun, variant, fallback)

    async def _compute(self, question: Question, loaded: Loaded) -> Answer:
        self._recorder.admit()
        if question.timeout_s is None:
            return await loaded.compute(question)
        left_s = question.timeout_s - (self._clock.monotonic() - question.arrived)
        try:
            async with asyncio.timeout(left_s):
                return await loaded.compute(question)
        except TimeoutError as error:
            raise OutOfTime(timeout_s=question.timeout_s) from error

    def _answer(
        self, question: Question, loaded: Loaded, computed: Answer, begun: float, variant: str, fallback: str
    ) -> Prediction:
        now = self._clock.now()
        monotonic = self._clock.monotonic()
        answered = Answered(
            new_id(),
            loaded.served,
            question.caller,
            question.client_request_id,
            now,
            monotonic - question.arrived,
            computed.batch_rows,
            computed.rows,
            question.inputs.values(),
            computed.outputs,
        )
        self._recorder.add(answered)
        loaded.requests.succeed(monotonic - begun, int(now.timestamp() * 1000))
        return Prediction(answered.request_id, loaded, computed.outputs, variant, fallback)
