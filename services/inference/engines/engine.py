"""What an engine is. A new kind of model adds a file beside this one and a line to ``engines.formats``."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from headwater.errors import DeadlineExceeded, FailedPrecondition, Internal, Unavailable
from services.inference.tensors.model import Array, Signature


class ModelRefused(FailedPrecondition):
    """The model is not of a kind that is served, or would do what a served model may not."""

    reason = "MODEL_REFUSED"
    text = "This model cannot be served."


class OptionRefused(ModelRefused):
    """The deployment asks for something that the engine of this format does not do."""

    reason = "ENGINE_OPTION_REFUSED"


class DeviceUnavailable(ModelRefused):
    """This machine, or the engine as installed here, does not have the device."""

    reason = "DEVICE_UNAVAILABLE"


class EngineFailed(Internal):
    """The model could not compute an answer for this input; other requests are not affected."""

    reason = "ENGINE_FAILED"
    text = "The model failed on this input."


class EngineOutOfMemory(EngineFailed):
    """The model wanted more memory for this input than it may have."""

    reason = "ENGINE_OUT_OF_MEMORY"
    text = "The model wanted more memory than it may have."


class EngineCrashed(EngineFailed):
    """The model's process ended while it computed this. It is started again by itself."""

    reason = "ENGINE_CRASHED"
    text = "The model's process ended while it computed this."


class EngineRestarting(Unavailable):
    """The model's process has ended and is being started again."""

    reason = "ENGINE_RESTARTING"
    text = "The model's process is being started again."


class EngineTimedOut(DeadlineExceeded):
    """The model computed for longer than the service allows, and was stopped."""

    reason = "ENGINE_TIMED_OUT"
    text = "The model took too long on this input and was stopped."


class Engine(Protocol):
    """A loaded model. ``predict`` is called by one thread at a time, ``stop`` by any."""

    signature: Signature
    platform: str
    """The engine's name in the Open Inference Protocol, for example ``onnxruntime_onnx``."""

    def gather(self, requests: Sequence[Sequence[Array]]) -> list[Array]:
        """The inputs of several requests laid one after the other by rows, for the next ``predict`` and nothing else.

        An engine may lay them where it computes, so that they are copied once. Called by the thread that predicts.
        """
        return [np.concatenate(parts) for parts in zip(*requests, strict=True)]

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for these inputs, both in the order of the signature. Blocks; the inputs are not changed.

        Raises:
            EngineFailed: the model cannot compute this, or has been stopped.
            InvalidTensor: an input holds what a model of this kind can never take, such as text in another encoding.
            EngineCrashed, EngineOutOfMemory: kinds of it.
            EngineTimedOut: it was stopped because it took too long.
            EngineRestarting: it cannot compute anything now.
        """

    def stop(self) -> None:
        """End the ``predict`` that is under way, if there is one, as soon as the engine can; never one that comes
        later.

        One that was just about to begin may go on: who wants it stopped asks once more.
        """

    def close(self) -> None:
        """Free what is held. Nothing may be called after this."""
