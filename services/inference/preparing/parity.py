"""Whether a version that was loaded answers as it did where it was registered (N-04)."""

from collections.abc import Mapping, Sequence

from headwater import parity
from headwater.parity import ParityMismatch
from headwater.tensors import Tensor
from services.inference.engines.engine import Engine
from services.inference.preparing.preparation import Preparation


def check_parity(record: parity.Parity, engine: Engine, preparation: Preparation) -> None:
    """Replay a parity record. Blocks while the engine computes its samples.

    Raises:
        ParityMismatch: it was made with another pipeline than the version has, or a sample gives something else here.
        EngineFailed, EngineTimedOut, Unavailable: the engine cannot compute a sample, or not now.
    """
    if record.pipeline and record.pipeline != preparation.digest:
        raise ParityMismatch(
            f"The parity record was made with the pipeline {record.pipeline}; "
            f"the version has {preparation.digest or 'none'}.",
            part="preprocessing",
            expected=record.pipeline,
            got=preparation.digest or "none",
        )
    parity.replay(record, None if preparation.why_not else preparation.tensor, _predicting(engine))


def _predicting(engine: Engine) -> parity.Predict:
    """The engine as the record knows models."""

    def predict(inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        arrays = engine.predict(engine.signature.arrange(inputs))
        specs = engine.signature.outputs
        return [Tensor(spec.name, spec.datatype, array) for spec, array in zip(specs, arrays, strict=True)]

    return predict
