"""A TorchScript or torch.export model → ONNX, on the user's own machine (M-76).

Reading such a model runs what is in it, so no service does this, and the command says so.
"""

import dataclasses
import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from headwater.errors import FailedPrecondition
from headwater.packaging import local
from headwater.packaging.model import ModelPackage
from headwater.packaging.stages import Convert

RTOL: Final = 1e-3
ATOL: Final = 1e-5
_ROWS: Final = 2


class CannotConvert(FailedPrecondition):
    """The model cannot be converted here, or what came out does not compute the same."""

    reason = "CANNOT_CONVERT"


@dataclasses.dataclass(frozen=True, slots=True)
class Converted:
    """What came out."""

    path: Path
    largest_difference: float
    """Between an output's values before and after, on random inputs."""


def convert(package: ModelPackage, folder: Path) -> Converted:
    """Convert the model that the document names within ``folder``, and compare it on random inputs.

    Its inputs are ``tf_inputs``, by name and shape; -1 is the batch. The result is compared within ``tf_rtol`` and
    ``tf_atol``, 0.001 and 0.00001 where they are not said.

    Raises:
        CannotConvert: naming what is missing, or by how much the results differ; no file is left then.
        LocalFileRefused: see :mod:`headwater.packaging.local`.
    """
    section = package.convert or Convert()
    if not section.onnx_convertible:
        raise CannotConvert("convert.onnx_convertible is not true.")
    if package.framework and package.framework.name.lower() == "tensorflow":
        raise CannotConvert("framework.name is tensorflow, which needs tf2onnx; it is not part of Headwater.")
    at = section.model_source.initial_model_local if section.model_source else None
    if not (at and at.path):
        raise CannotConvert("convert.model_source.initial_model_local.path must name the model: nothing is fetched.")
    if not section.tf_inputs:
        raise CannotConvert("convert.tf_inputs must give each input's name and shape.")
    source = local.path(folder, at.path, "convert.model_source.initial_model_local.path")
    target = _target(section, folder, source)
    try:
        difference = _converted(section, source, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Converted(target, difference)


def _target(section: Convert, folder: Path, source: Path) -> Path:
    converted = section.onnx_converted_model and section.onnx_converted_model.onnx_model_local
    named = folder / converted.path if converted and converted.path else source.with_suffix(".onnx")
    target = named / source.with_suffix(".onnx").name if named.is_dir() else named
    # The folder that it goes to must be there, so that links in its path are seen.
    target = local.path(folder, str(target.parent), "convert.onnx_converted_model.onnx_model_local.path") / target.name
    if target.exists():
        raise CannotConvert(f"{target.name} is there already.")
    return target


def _converted(section: Convert, source: Path, target: Path) -> float:
    torch, runtime, numpy = _need("torch"), _need("onnxruntime"), _need("numpy")
    _need("onnx")
    shapes = section.tf_inputs.values()
    inputs = tuple(torch.rand([_ROWS if size < 0 else size for size in shape]) for shape in shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Both exporters remark on what torch itself does.
        try:
            before = _exported(torch, section, source, inputs, target)
        except Exception as error:
            message = str(error).strip().splitlines()[0][:300]
            raise CannotConvert(f"torch cannot convert {source.name}: {message}") from error
    session = runtime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    after = session.run(None, {name: tensor.numpy() for name, tensor in zip(section.tf_inputs, inputs, strict=True)})
    return _compared(section, numpy, before if isinstance(before, tuple | list) else (before,), after)


def _exported(torch: Any, section: Convert, source: Path, inputs: Sequence[Any], target: Path) -> Any:
    """Write the ONNX model; what the model itself makes of the inputs."""
    names: dict[str, Any] = {"input_names": list(section.tf_inputs), "output_names": list(section.tf_outputs) or None}
    if source.suffix == ".pt2":
        program = torch.export.load(source)
        torch.onnx.export(program, (), verbose=False, **names).save(target)
        return program.module()(*inputs)
    module = torch.jit.load(source, map_location="cpu").eval()
    batches = {name: {0: "batch"} for name, shape in section.tf_inputs.items() if shape and shape[0] < 0}
    # The newer exporter does not take what torch.jit has compiled.
    torch.onnx.export(module, tuple(inputs), str(target), dynamo=False, dynamic_axes=batches or None, **names)
    return module(*inputs)


def _compared(section: Convert, numpy: Any, before: Any, after: Any) -> float:
    rtol = RTOL if section.tf_rtol is None else section.tf_rtol
    atol = ATOL if section.tf_atol is None else section.tf_atol
    largest = 0.0
    for old, new in zip((each.detach().numpy() for each in before), after, strict=True):
        difference = float(numpy.abs(old.astype("float64") - new.astype("float64")).max(initial=0.0))
        largest = max(largest, difference)
        if not numpy.allclose(old, new, rtol=rtol, atol=atol):
            raise CannotConvert(
                f"The converted model gives other values, by up to {difference:.3g}; "
                f"convert.tf_rtol {rtol:g} and convert.tf_atol {atol:g} allow less."
            )
    return largest


def _need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CannotConvert(f"Converting needs {module}, which is not installed.") from error
