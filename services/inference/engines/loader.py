"""Loads models: each into a process of its own, or an ONNX model into the service's, where that is asked for."""

import collections
import dataclasses
import enum
import threading
from collections.abc import Mapping
from typing import BinaryIO

from services.inference.engines import formats
from services.inference.engines.code import Code
from services.inference.engines.engine import Engine, OptionRefused
from services.inference.engines.formats import load_here, loader_of
from services.inference.engines.options import DEFAULT, EngineOptions
from services.inference.engines.order import Order
from services.inference.engines.triton.endpoint import TritonEndpoint
from services.inference.engines.triton.remotes import Remotes
from services.inference.engines.worker.engine import Limits, ProcessEngine
from services.inference.engines.worker.template import Templates
from services.inference.engines.worker.watch import Watch
from services.inference.tensors.model import Signature


class Isolation(enum.Enum):
    """Where models compute. The values are those of the setting ``engine_isolation``."""

    PROCESS = "process"
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """What one model may take; see the settings ``engine_*``."""

    threads: int = 0
    memory_bytes: int = 4 * 2**30
    timeout_s: float = 30.0
    load_timeout_s: float = 300.0


class Engines:
    """The formats that are served, and the processes in which their engines compute. Usable by any thread."""

    def __init__(
        self,
        bounds: Bounds,
        *,
        isolation: Isolation = Isolation.PROCESS,
        code: Mapping[str, Code] | None = None,
        remotes: Remotes | None = None,
    ) -> None:
        self._bounds = bounds
        self._isolation = isolation
        self._code = code or {}
        self._remotes = remotes or Remotes()
        self._templates = Templates()
        self._watch = Watch()
        self._lock = threading.Lock()
        self._hosted: set[ProcessEngine] = set()
        self._ends: collections.Counter[tuple[str, str]] = collections.Counter()

    def formats_for(self, options: EngineOptions) -> tuple[str, ...]:
        """The formats that can be loaded with these options, the preferred first; none where any can."""
        return formats.formats_of(options)

    def load(
        self,
        format_name: str,
        file: BinaryIO,
        options: EngineOptions = DEFAULT,
        *,
        signature: Signature | None = None,
        digest: str = "",
        name: str = "",
        version: str = "",
    ) -> Engine:
        """The engine for a file of this format, ready to compute. Blocks, for seconds where the model is large.

        ``signature`` is what was registered with the version, for formats that do not tell it; ``digest`` that of the
        file, which is looked at once more whenever the model is loaded again; ``name`` and ``version`` are for logs and
        metrics. Takes over ``file``.

        Raises:
            ModelRefused: the format is not served, the file may not be, or not with these options.
            EngineCrashed, EngineOutOfMemory: the model's process did not come that far.
        """
        try:
            order = dataclasses.replace(self._order(format_name, options, signature, name), digest=digest)
            kind = loader_of(order)
            if kind.in_process and self._isolation is Isolation.NONE:
                with file:
                    file.seek(0)
                    return load_here(file.read(), order)
            engine = ProcessEngine(
                order,
                file,
                self._templates.of(formats.module_of(kind)),
                self._watch,
                Limits(self._bounds.load_timeout_s, self._bounds.timeout_s),
                self._count,
                version=version,
            )
        except BaseException:
            file.close()
            raise
        with self._lock:
            self._hosted = {each for each in self._hosted if not each.closed} | {engine}
        return engine

    def connect(self, endpoint: TritonEndpoint, *, digest: str, signature: Signature | None = None) -> Engine:
        """The engine for a model that a server computes, if that is the version with this digest. Blocks.

        Raises:
            HostNotAllowed, RemoteRefused, RemoteNotReady, EngineFailed: see Remotes.connect.
        """
        return self._remotes.connect(endpoint, digest=digest, signature=signature)

    def hosted(self) -> list[ProcessEngine]:
        """Every engine that has a process of its own."""
        with self._lock:
            return [each for each in self._hosted if not each.closed]

    def ends(self) -> Mapping[tuple[str, str], int]:
        """How often a process ended that was not asked to, by model and by the reason of the error."""
        with self._lock:
            return dict(self._ends)

    def close(self) -> None:
        """End every process."""
        for engine in self.hosted():
            engine.close()
        self._templates.close()
        self._watch.close()

    def _count(self, name: str, reason: str) -> None:
        with self._lock:
            self._ends[name, reason] += 1

    def _order(self, format_name: str, options: EngineOptions, signature: Signature | None, name: str) -> Order:
        chosen = options.callable or options.architecture
        code = self._code.get(chosen) if chosen else None
        if options.callable and code is None:
            raise OptionRefused(f"No callable {options.callable} is registered; see the setting engine_code.")
        options = dataclasses.replace(options, threads=options.threads or self._bounds.threads)
        return Order(format_name, options, self._bounds.memory_bytes, signature, code, name)
