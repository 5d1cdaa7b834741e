"""The use case of the service: a question in, an answer and its record out."""

import asyncio
import dataclasses
from collections.abc import Sequence

from chassis.clock import Clock
from chassis.ids import new_id
from headwater.errors import DeadlineExceeded, HeadwaterError
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.serving import Serving
from services.inference.question import Question
from services.inference.records.model import Answered
from services.inference.records.recorder import Recorder
from services.inference.tensors.model import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """The answer: the outputs that were asked for, who computed them, and the id under which it is recorded."""

    request_id: str
    loaded: Loaded
    outputs: Sequence[Tensor]


class Predictor:
    """Answers questions with what is loaded; every answer is recorded before it is given."""

    def __init__(self, serving: Serving, recorder: Recorder, clock: Clock) -> None:
        self._serving = serving
        self._recorder = recorder
        self._clock = clock

    async def predict(self, question: Question) -> Prediction:
        """The answer.

        Raises:
            ModelNotFound, ModelNotReady, VersionNotServed: nobody answers to this name and version.
            SignatureMismatch: the inputs or the outputs asked for are not the model's.
            QueueFull, RecordsBehind: too much is asked; it may be asked again a little later.
            EngineFailed, EngineTimedOut, DeadlineExceeded: it could not be computed, or not in time.
        """
        loaded = self._serving.find(question.model, question.version)
        try:
            prediction = await self._answer(question, loaded)
        except HeadwaterError as error:
            loaded.requests.fail(error.reason, self._clock.monotonic() - question.arrived)
            raise
        except asyncio.CancelledError:
            loaded.requests.fail("CANCELLED", self._clock.monotonic() - question.arrived)
            raise
        return prediction

    async def _answer(self, question: Question, loaded: Loaded) -> Prediction:
        self._recorder.admit()
        if question.timeout_s is None:
            computed = await loaded.compute(question)
        else:
            try:
                async with asyncio.timeout(question.timeout_s):
                    computed = await loaded.compute(question)
            except TimeoutError as error:
                raise DeadlineExceeded(timeout_s=question.timeout_s) from error
        now = self._clock.now()
        latency_s = self._clock.monotonic() - question.arrived
        answered = Answered(
            new_id(),
            loaded.served,
            question.caller,
            question.client_request_id,
            now,
            latency_s,
            computed.batch_rows,
            computed.rows,
            question.inputs.values(),
            computed.outputs,
        )
        self._recorder.add(answered)
        loaded.requests.succeed(latency_s, int(now.timestamp() * 1000))
        return Prediction(answered.request_id, loaded, computed.outputs)
