"""From a torch module to the files that a model version is made of: safetensors for its weights, ONNX for serving."""

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.parity.words import PATH

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
SERVABLE = "model.onnx"


def export(
    module: "torch.nn.Module",
    directory: Path,
    *,
    example: "Mapping[str, torch.Tensor]",
    outputs: Sequence[str],
    properties: Mapping[str, str],
    samples: "Mapping[str, torch.Tensor] | None" = None,
) -> dict[str, Path]:
    """Write ``model.safetensors`` and ``model.onnx`` to ``directory``; returns them by their path in the version.

    ``example`` gives each input's name and, by a tensor, its type and shape; the first dimension of every input and
    output is the batch and may be of any size. ``properties`` are kept in both files. Of each row of ``samples``, which
    are inputs as well, it is written to ``parity.json`` what the module answers here (see headwater.parity).

    Raises:
        ParityInvalid: of the samples.
    """
    import torch
    from safetensors.torch import save_model

    module = copy.deepcopy(module).cpu().eval()
    weights, servable = directory / WEIGHTS, directory / SERVABLE
    save_model(module, str(weights), metadata={"format": "pt", **properties})
    # torch.export takes a batch of 1 for a constant, so the example has two rows.
    rows = tuple(torch.cat([tensor[:1], tensor[:1]]).cpu() for tensor in example.values())
    batch = torch.export.Dim("batch")
    with _quiet():
        program = torch.onnx.export(
            module,
            rows,
            dynamo=True,
            input_names=list(example),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in rows),
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(properties)
    program.save(servable, external_data=False)
    files = {WEIGHTS: weights, SERVABLE: servable}
    if samples is None:
        return files
    from headwater.training.samples import parity_of

    (directory / PATH).write_bytes(parity_of(module, samples, list(example), outputs))
    return {**files, PATH: directory / PATH}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on optional packages that are not installed and on its own deprecated calls."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        registration.setLevel(level)
