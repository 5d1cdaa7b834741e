"""Which engine loads which format. A format that is not here is never loaded (promise 12)."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from services.inference.engines.engine import Engine, ModelRefused

Load: TypeAlias = Callable[[bytes], Engine]


class Engines:
    """The formats that are served, each with the function that makes an engine of a file's bytes."""

    def __init__(self, loaders: Mapping[str, Load]) -> None:
        self._loaders = loaders

    @property
    def formats(self) -> frozenset[str]:
        """The formats that can be loaded."""
        return frozenset(self._loaders)

    def load(self, format_name: str, model: bytes) -> Engine:
        """The engine for a file of this format. Blocks, for seconds where the model is large.

        Raises:
            ModelRefused: the format is not served, or the file may not be.
        """
        load = self._loaders.get(format_name)
        if load is None:
            raise ModelRefused(f"Files of the format {format_name or 'unknown'} are not served.")
        return load(model)


def default_engines(*, threads: int, memory_bytes: int) -> Engines:
    """Every engine of this release; see the settings ``engine_threads`` and ``engine_memory_bytes``."""

    def load_onnx(model: bytes) -> Engine:
        # ONNX Runtime takes 40 MB and half a second: nobody pays before the first model comes.
        from services.inference.engines.onnx import OnnxEngine

        return OnnxEngine.load(model, threads=threads, memory_bytes=memory_bytes)

    return Engines({"onnx": load_onnx})
