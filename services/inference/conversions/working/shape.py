"""What goes into the process of a job and comes out of it, as tensors. Imports no library that converts."""

from services.inference.tensors.model import Signature, TensorSpec

ONE = (1,)
SIGNATURE = Signature(
    tuple(TensorSpec(name, "BYTES", ONE) for name in ("plan", "parity", "pipeline")),
    tuple(TensorSpec(name, "BYTES", ONE) for name in ("report", "model", "parity")),
    batchable=False,
)
