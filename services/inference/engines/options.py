"""What a deployment says about the engine that computes it."""

import dataclasses
import enum
import re

from headwater.errors import InvalidArgument

CPU = "cpu"
MAX_THREADS, MAX_INSTANCES = 1024, 64
_DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class InvalidEngine(InvalidArgument):
    """What a deployment says about its engine is not possible with any model."""

    reason = "INVALID_ENGINE"


class Precision(enum.Enum):
    """In what operators are computed that may lose precision (autocast). The values are what the database keeps."""

    NONE = "none"
    BF16 = "bf16"
    FP16 = "fp16"


@dataclasses.dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is computed. What an engine does not know is refused when the model is loaded.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        autocast: in what precision operators are computed that allow it.
        threads: threads that compute one batch; 0 for the service's setting ``engine_threads``.
        instances: how many engines compute batches of this deployment at the same time, each with the model in memory.
        architecture: what a state dict is the state of: a name that ships or that an administrator registered.
        callable: what computes instead of an engine: a name that an administrator registered.
    """

    device: str = CPU
    autocast: Precision = Precision.NONE
    threads: int = 0
    instances: int = 1
    architecture: str = ""
    callable: str = ""

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise InvalidEngine("The device must be cpu, cuda or cuda:N.", field="engine.device")
        for field, least, most in (("threads", 0, MAX_THREADS), ("instances", 1, MAX_INSTANCES)):
            if not least <= getattr(self, field) <= most:
                raise InvalidEngine(f"{field} must be from {least} to {most}.", field=f"engine.{field}")
        for field in ("architecture", "callable"):
            value = getattr(self, field)
            if value and not _NAME.fullmatch(value):
                raise InvalidEngine(f"{field} must be a registered name.", field=f"engine.{field}")
        if self.architecture and self.callable:
            raise InvalidEngine("Either an architecture or a callable computes, not both.", field="engine.callable")

    @property
    def on_cuda(self) -> bool:
        """Whether a GPU is to compute."""
        return self.device != CPU


DEFAULT = EngineOptions()
"""One engine on the CPU."""
