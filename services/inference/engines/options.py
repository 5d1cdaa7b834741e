"""What a deployment says about the engine that computes it."""

import dataclasses
import enum
import re

from headwater.errors import InvalidArgument
from services.inference.engines.triton.endpoint import TritonEndpoint
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import TensorSpec

CPU = "cpu"
MAX_THREADS, MAX_INSTANCES = 1024, 64
_MAX_RANK = 32
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
        inputs: what goes in, for files that do not tell it.
        outputs: likewise what comes out; found out by computing where it is not said.
        triton: a server that computes instead; ``instances`` is then how many batches it gets at the same time.
    """

    device: str = CPU
    autocast: Precision = Precision.NONE
    threads: int = 0
    instances: int = 1
    architecture: str = ""
    callable: str = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    triton: TritonEndpoint | None = None

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
        if self.outputs and not self.inputs:
            raise InvalidEngine("Outputs are said together with inputs.", field="engine.outputs")
        if self.triton is not None:
            self._check_remote()
        _check_tensors("inputs", self.inputs)
        _check_tensors("outputs", self.outputs)

    def _check_remote(self) -> None:
        """Go on if nothing is said that is for the server to say."""
        for field in dataclasses.fields(self):
            if field.name not in ("triton", "instances") and getattr(self, field.name) != field.default:
                said = f"{field.name} is for the remote server to decide; leave it out beside triton."
                raise InvalidEngine(said, field=f"engine.{field.name}")

    @property
    def on_cuda(self) -> bool:
        """Whether a GPU is to compute."""
        return self.device != CPU


def _check_tensors(side: str, specs: tuple[TensorSpec, ...]) -> None:
    names = [spec.name for spec in specs]
    if "" in names or len({*names}) != len(names):
        raise InvalidEngine("Every tensor must have a name of its own.", field=f"engine.{side}")
    for spec in specs:
        if spec.datatype not in NUMPY_TYPES:
            raise InvalidEngine(
                f"{spec.name!r}: datatype must be one of {', '.join(NUMPY_TYPES)}.", field=f"engine.{side}"
            )
        if len(spec.shape) > _MAX_RANK or any(size < -1 for size in spec.shape):
            raise InvalidEngine(
                f"{spec.name!r}: sizes must be at least 0, or -1 for one that varies.", field=f"engine.{side}"
            )


DEFAULT = EngineOptions()
"""One engine on the CPU."""
