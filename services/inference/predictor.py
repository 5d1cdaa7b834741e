"""The use case of the service: a question in, an answer and its record out."""

import asyncio
import dataclasses
from collections.abc import Sequence

from chassis.clock import Clock
from chassis.deadline import is_given_up
from chassis.ids import new_id
from headwater.errors import HeadwaterError, InvalidArgument, NotFound
from services.inference.deployments.follower import Follower
from services.inference.deployments.loaded import Answer, Loaded
from services.inference.deployments.serving import Serving
from services.inference.deployments.target import Target
from services.inference.errors import OutOfTime, RecordsBehind
from services.inference.guard.guard import Guard
from services.inference.question import Question
from services.inference.records.model import Answered
from services.inference.records.recorder import Recorder
from services.inference.tensors.errors import SignatureMismatch
from services.inference.tensors.model import Tensor
from services.inference.traffic.compatibility import answers_for
from services.inference.traffic.shadows import Shadows

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

    def __init__(self, serving: Serving, recorder: Recorder, guard: Guard, shadows: Shadows, clock: Clock) -> None:
        self._serving = serving
        self._recorder = recorder
        self._guard = guard
        self._shadows = shadows
        self._clock = clock

    async def predict(self, question: Question) -> Prediction:
        """The answer of the version that was asked for, or of the one that was chosen, or of one that stands in for it.

        Raises:
            ModelNotFound, ModelNotReady, VersionNotServed: nobody answers to this name and version.
            SignatureMismatch: the inputs or the outputs asked for are not the model's.
            QueueFull, RecordsBehind: too much is asked; it may be asked again a little later.
            BreakerOpen: the version fails, and nobody stands in for it.
            EngineFailed, EngineTimedOut, OutOfTime: it could not be computed, or not in time.
        """
        follower = self._serving.follower(question.model)
        target = follower.choose(question)
        request_id = new_id()
        try:
            return await self._ask(question, request_id, follower, target)
        except HeadwaterError as error:
            if not question.version and follower.has_stand_ins(target) and _others_may_answer(error, follower, target):
                return await self._ask_others(question, request_id, follower, target, error)
            self._record_failure(question, request_id, target, error)
            raise

    async def _ask_others(
        self, question: Question, request_id: str, follower: Follower, chosen: Target, failure: HeadwaterError
    ) -> Prediction:
        """The first answer of those who stand in for ``chosen``; where there is none, its own ``failure``."""
        first = chosen.loaded
        asked = [] if first is None else [first]
        model = follower.loaded or first  # what clients are told of, and ask
        self._record_failure(question, new_id(), chosen, failure, part_of=request_id)
        for target in self._serving.stand_ins(follower):
            loaded = target.loaded
            if loaded is None or any(loaded is each for each in asked):
                continue
            if model is not None and not answers_for(loaded.signature, model.signature):
                continue  # it would take the question for another one
            asked.append(loaded)
            try:
                prediction = await self._ask(question, request_id, follower, target, fallback=failure.reason)
            except HeadwaterError as error:
                if isinstance(error, _NOBODY_ELSE):
                    self._record_failure(question, request_id, target, error)
                    raise
                self._record_failure(question, new_id(), target, error, part_of=request_id)
                continue
            if first is not None:
                self._guard.stood_in(first, str(loaded.version.name))
            return prediction
        if asked:
            self._guard.exhausted(follower.deployment, asked, failure.reason)
        self._record_failure(question, request_id, chosen, failure)
        raise failure

    async def _ask(
        self, question: Question, request_id: str, follower: Follower, target: Target, fallback: str = ""
    ) -> Prediction:
        loaded = target.loaded
        if loaded is None:
            raise follower.not_ready()
        begun = self._clock.monotonic() if fallback else question.arrived
        permit = self._guard.allow(loaded)
        try:
            answer = await self._compute(question, loaded)
        except BaseException as error:
            self._failed(loaded, permit, question, request_id, begun, error)
            raise
        variant = follower.name_of(target) if fallback or follower.routed else ""
        self._answered(loaded, permit, question, request_id, begun, answer, variant)
        if follower.shadows and loaded is follower.loaded:
            self._shadows.copy(follower, question, request_id, answer.outputs)
        return Prediction(request_id, loaded, answer.outputs, variant, fallback)

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

    def _answered(
        self,
        loaded: Loaded,
        permit: int,
        question: Question,
        request_id: str,
        begun: float,
        answer: Answer,
        variant: str,
    ) -> None:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        answered = Answered(
            request_id,
            loaded.served_for(question),
            question.caller,
            question.client_request_id,
            now,
            monotonic - question.arrived,
            answer.batch_rows,
            answer.rows,
            question.inputs.values(),
            answer.outputs,
            variant=variant,
        )
        self._recorder.add(answered)
        loaded.requests.succeed(monotonic - begun, int(now.timestamp() * 1000))
        self._guard.succeeded(loaded, permit, question, request_id, monotonic - begun, answer.engine_s)

    def _failed(
        self, loaded: Loaded, permit: int, question: Question, request_id: str, begun: float, error: BaseException
    ) -> None:
        seconds = self._clock.monotonic() - begun
        reason, message = "INTERNAL", ""
        if isinstance(error, HeadwaterError):
            reason, message = error.reason, error.message
        elif isinstance(error, asyncio.CancelledError):
            reason = OutOfTime.reason if is_given_up() else "CANCELLED"
        loaded.requests.fail(reason, seconds)
        self._guard.failed(loaded, permit, question, request_id, seconds, reason, message)

    def _record_failure(
        self, question: Question, record_id: str, target: Target, error: HeadwaterError, part_of: str = ""
    ) -> None:
        """Record that ``target`` gave no answer; ``part_of`` is the request's id where that is not the end of it.

        The error that is the answer tells the id of its record.
        """
        if target.loaded is None:  # nobody has looked at it
            return
        recorded = self._recorder.add_failure(
            Answered(
                record_id,
                target.loaded.served_for(question),
                question.caller,
                question.client_request_id,
                self._clock.now(),
                self._clock.monotonic() - question.arrived,
                0,
                0,
                question.inputs.values(),
                (),
                result=error.reason,
                part_of=part_of,
                is_final=not part_of,
                variant=target.name,
            )
        )
        if recorded and not part_of:
            error.metadata["request_id"] = record_id


def _others_may_answer(error: HeadwaterError, follower: Follower, target: Target) -> bool:
    """Whether another version may have an answer where ``target`` had this error."""
    main, loaded = follower.loaded, target.loaded
    if isinstance(error, SignatureMismatch) and main is not None and loaded is not None:
        return not answers_for(loaded.signature, main.signature)  # it is the version that is wrong, not the question
    return not isinstance(error, _NOBODY_ELSE)
