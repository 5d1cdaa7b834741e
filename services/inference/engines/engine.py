"""What an engine is. A new kind of model adds a file beside this one and a line to ``engines.loader``."""

from collections.abc import Sequence
from typing import Protocol

from headwater.errors import DeadlineExceeded, FailedPrecondition, Internal
from services.inference.tensors.model import Array, Signature


class ModelRefused(FailedPrecondition):
    """The model is not of a kind that is served, or would do what a served model may not."""

    reason = "MODEL_REFUSED"
    text = "This model cannot be served."


class EngineFailed(Internal):
    """The model could not compute an answer for this input; other requests are not affected."""

    reason = "ENGINE_FAILED"
    text = "The model failed on this input."


class EngineTimedOut(DeadlineExceeded):
    """The model computed for longer than the service allows, and was stopped."""

    reason = "ENGINE_TIMED_OUT"
    text = "The model took too long on this input and was stopped."


class Engine(Protocol):
    """A loaded model. ``predict`` is called by one thread at a time, ``stop`` by any."""

    signature: Signature
    platform: str
    """The engine's name in the Open Inference Protocol, for example ``onnxruntime_onnx``."""

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for these inputs, both in the order of the signature. Blocks; the inputs are not changed.

        Raises:
            EngineFailed: the model cannot compute this, or has been stopped.
        """

    def stop(self) -> None:
        """End the ``predict`` that is under way, if there is one, as soon as the engine can."""

    def close(self) -> None:
        """Free what is held. Nothing may be called after this."""
