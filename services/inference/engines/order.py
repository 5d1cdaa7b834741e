"""What an engine is asked to load."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, Self

from services.inference.engines.code import Code
from services.inference.engines.engine import ModelRefused
from services.inference.engines.options import DEFAULT, EngineOptions, Precision
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Signature, TensorSpec


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """A file of one format, and how it is to be computed.

    Attributes:
        format: as the registry recognised it.
        options: of the deployment; ``threads`` is the number that holds, 0 for one per core.
        memory_bytes: what the model may take for weights and activations.
        signature: what goes in and comes out as registered with the version; element types may be empty.
        code: the registered callable or architecture that the options name; None for one that ships.
        name: for logs and metrics.
        digest: what the file must have; empty where that has just been looked at.
        module: of this service; it has ``load`` as every engine has, and works on the file in place of the format's own
            engine. Empty: that engine.
        scratch: a folder that the process may write to; empty for none.
        compiler: whether it may start programs that are installed below /usr; see engines.worker.confinement.
    """

    format: str
    options: EngineOptions = DEFAULT
    memory_bytes: int = 4 * 2**30
    signature: Signature | None = None
    code: Code | None = None
    name: str = ""
    digest: str = ""
    module: str = ""
    scratch: str = ""
    compiler: bool = False

    def said_inputs(self) -> tuple[TensorSpec, ...]:
        """What goes in, as the deployment says, or else as was registered.

        Raises:
            ModelRefused: nobody says it.
        """
        said = self.options.inputs or (self.signature.inputs if self.signature else ())
        if said and all(spec.datatype in NUMPY_TYPES for spec in said):
            return said
        raise ModelRefused("The file does not tell what goes into the model: say it in the deployment's engine.inputs.")

    def said_outputs(self) -> tuple[TensorSpec, ...]:
        """What comes out, in the same way; empty where nobody says it."""
        if self.options.outputs:
            return self.options.outputs
        said = self.signature.outputs if self.signature and not self.options.inputs else ()
        return said if all(spec.datatype in NUMPY_TYPES for spec in said) else ()

    def to_json(self) -> str:
        """As it travels to a worker process."""
        return json.dumps(dataclasses.asdict(self), default=lambda value: value.value)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse."""
        told = json.loads(text)
        options = told["options"]
        options = EngineOptions(
            **{
                **options,
                "autocast": Precision(options["autocast"]),
                "inputs": specs_from_plain(options["inputs"]),
                "outputs": specs_from_plain(options["outputs"]),
            }
        )
        signature = signature_from_plain(told["signature"]) if told["signature"] else None
        code = Code(**told["code"]) if told["code"] else None
        return cls(**{**told, "options": options, "signature": signature, "code": code})


def signature_from_plain(told: Any) -> Signature:
    """A signature that ``dataclasses.asdict`` and JSON have taken apart."""
    return Signature(specs_from_plain(told["inputs"]), specs_from_plain(told["outputs"]), told["batchable"])


def specs_from_plain(told: Any) -> tuple[TensorSpec, ...]:
    """Tensors of such a signature."""
    return tuple(TensorSpec(each["name"], each["datatype"], tuple(each["shape"])) for each in told)


def rows_vary(specs: Iterable[TensorSpec]) -> bool:
    """Whether the first size of each of them varies: it is taken for the number of rows then."""
    return all(spec.shape and spec.shape[0] == -1 for spec in specs)
