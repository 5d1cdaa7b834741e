"""Which engine loads which format: a line for each. A format that is not here is never loaded (promise 12)."""

import contextlib
import dataclasses
import importlib
from collections.abc import Mapping
from typing import cast

import numpy as np

from services.inference.engines.engine import Engine, EngineFailed, ModelRefused, OptionRefused
from services.inference.engines.options import EngineOptions, Precision
from services.inference.engines.order import Order
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Array, TensorSpec

_PACKAGE = "services.inference.engines"


@dataclasses.dataclass(frozen=True, slots=True)
class Loader:
    """What loads a format.

    Attributes:
        module: of this package; it has ``load(content: bytes, order: Order) -> Engine``, and is imported only in the
            process that computes.
        cuda: whether it computes on a GPU.
        autocast: whether it computes in lower precision where a deployment asks for it.
        unsaid: whether the file does not tell what goes in and comes out, so that a deployment may say it.
        in_process: whether it may share the service's own process, where the setting ``engine_isolation`` says so.
    """

    module: str
    cuda: bool = False
    autocast: bool = False
    unsaid: bool = False
    in_process: bool = False

    def check(self, options: EngineOptions, format_name: str) -> None:
        """Go on if this engine can do what the deployment asks for.

        Raises:
            OptionRefused: naming what it cannot.
        """
        if options.on_cuda and not self.cuda:
            raise OptionRefused(f"Models of the format {format_name} are computed on the CPU only.")
        if options.autocast is not Precision.NONE and not self.autocast:
            raise OptionRefused(f"Models of the format {format_name} know no autocast.")
        if options.inputs and not self.unsaid:
            raise OptionRefused(f"A file of the format {format_name} tells its inputs and outputs itself.")


LOADERS: Mapping[str, Loader] = {
    "onnx": Loader("onnx", cuda=True, in_process=True),
    "torch_export": Loader("pytorch.loading", cuda=True, autocast=True),
    "torchscript": Loader("pytorch.loading", cuda=True, autocast=True, unsaid=True),
    "xgboost": Loader("trees.xgboost"),
    "lightgbm": Loader("trees.lightgbm"),
}
"""By format. Where a version has files of several of them and names none as its primary file, the first is served."""

STATE_LOADERS: Mapping[str, Loader] = {
    "safetensors": Loader("pytorch.loading", cuda=True, autocast=True, unsaid=True),
    "pytorch": Loader("pytorch.loading", cuda=True, autocast=True, unsaid=True),
}
"""The same for files that hold weights alone, for deployments that name an architecture."""

CALLABLE = Loader("custom", cuda=True, unsaid=True)
"""For deployments that name a registered callable, whatever the format."""


def loader_of(order: Order) -> Loader:
    """What loads this.

    Raises:
        ModelRefused: nothing does, or not with these options.
    """
    loader = _loader_of(order.format, order.options)
    if loader is None:
        raise ModelRefused(f"Files of the format {order.format or 'unknown'} are not served.")
    loader.check(order.options, order.format)
    return loader


def module_of(loader: Loader) -> str:
    """The full name of its module."""
    return f"{_PACKAGE}.{loader.module}"


def formats_of(options: EngineOptions) -> tuple[str, ...]:
    """The formats that can be served with these options, the preferred first; none where any will do."""
    if options.callable or options.triton is not None:
        return ()
    return tuple(STATE_LOADERS if options.architecture else LOADERS)


def load_here(content: bytes, order: Order) -> Engine:
    """The engine for a file, or what ``order.module`` makes of it, in this process, warmed up. Blocks, for seconds
    where the model is large.

    Raises:
        ModelRefused: the format is not served, or the file may not be.
    """
    module = importlib.import_module(order.module or module_of(loader_of(order)))
    engine = cast(Engine, module.load(content, order))
    if not order.module:
        warm_up(engine)
    return engine


def warm_up(engine: Engine) -> None:
    """Compute one row of zeros, so that what an engine prepares at its first batch is done before the first request."""
    with contextlib.suppress(EngineFailed):  # zeros mean nothing to some models
        engine.predict([_zeros(spec) for spec in engine.signature.inputs])


def _loader_of(format_name: str, options: EngineOptions) -> Loader | None:
    if options.callable:
        return CALLABLE
    return (STATE_LOADERS if options.architecture else LOADERS).get(format_name)


def _zeros(spec: TensorSpec) -> Array:
    shape = [1 if size < 0 else size for size in spec.shape]
    if spec.datatype == "BYTES":
        return np.full(shape, b"", np.object_)
    return np.zeros(shape, NUMPY_TYPES[spec.datatype])
