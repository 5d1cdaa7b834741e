"""What an engine is asked to load."""

import dataclasses
import json
from typing import Any, Self

from services.inference.engines.code import Code
from services.inference.engines.options import DEFAULT, EngineOptions, Precision
from services.inference.tensors.model import Signature, TensorSpec


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """A file of one format, and how it is to be computed.

    Attributes:
        format: as the registry recognised it.
        options: of the deployment; ``threads`` is the number that holds, 0 for one per core.
        memory_bytes: what the model may take for weights and activations.
        signature: what goes in and comes out as registered with the version, for files that do not tell it themselves.
        code: the registered callable or architecture that the options name; None for one that ships.
        name: for logs and metrics.
    """

    format: str
    options: EngineOptions = DEFAULT
    memory_bytes: int = 4 * 2**30
    signature: Signature | None = None
    code: Code | None = None
    name: str = ""

    def to_json(self) -> str:
        """As it travels to a worker process."""
        return json.dumps(dataclasses.asdict(self), default=lambda value: value.value)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse."""
        told = json.loads(text)
        options = EngineOptions(**{**told["options"], "autocast": Precision(told["options"]["autocast"])})
        signature = signature_from_plain(told["signature"]) if told["signature"] else None
        code = Code(**told["code"]) if told["code"] else None
        return cls(**{**told, "options": options, "signature": signature, "code": code})


def signature_from_plain(told: Any) -> Signature:
    """A signature that ``dataclasses.asdict`` and JSON have taken apart."""
    inputs, outputs = (
        tuple(TensorSpec(each["name"], each["datatype"], tuple(each["shape"])) for each in told[side])
        for side in ("inputs", "outputs")
    )
    return Signature(inputs, outputs, told["batchable"])
