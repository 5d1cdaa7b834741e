"""Where a job's work is done: a confined process for each, which ends with it."""

import asyncio
import contextlib
import dataclasses
import functools
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import BinaryIO, Literal

import numpy as np
from pydantic import TypeAdapter

from chassis.threads import opened_in_thread
from headwater.errors import HeadwaterError
from services.inference.conversions.evidence import Evidence
from services.inference.conversions.model import Plan
from services.inference.engines.code import Code
from services.inference.engines.engine import (
    EngineCrashed,
    EngineFailed,
    EngineOutOfMemory,
    EngineTimedOut,
    OptionRefused,
)
from services.inference.engines.order import Order
from services.inference.engines.worker.process import Worker, WorkerEnded, WorkerSaid
from services.inference.engines.worker.template import Template
from services.inference.engines.worker.watch import Watch
from services.inference.models.source import ModelFile, ModelVersion
from services.inference.tensors.model import Array

MODULE = "services.inference.conversions.working.engine"
_LONGEST_WORDS = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """What one job may take; ``compiler``: whether a tuning may start the C++ compiler."""

    memory_bytes: int = 8 * 2**30
    timeout_s: float = 3600.0
    threads: int = 0
    compiler: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """What is worked on: a version, its file, and what it is compared by."""

    plan: Plan
    version: ModelVersion
    file: ModelFile
    parity: bytes = b""

    @property
    def pipeline(self) -> str:
        """The document of the version's pipeline; empty for none."""
        return self.version.preprocessing.document if self.version.preprocessing else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What came of it: see conversions.working.outcome."""

    evidence: Evidence | None
    model: bytes = b""
    format: str = ""
    parity: bytes = b""
    failure_reason: str = ""
    failure: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class _Told:
    """The report of a process, which a model may have taken over: nothing is believed of its shape."""

    evidence: Evidence | None
    failure_reason: str
    failure: str
    format: Literal["", "onnx", "torchscript"]


_PLANS, _TOLD = TypeAdapter(Plan), TypeAdapter(_Told)


class Workshop:
    """Starts processes for jobs. Used in one event loop."""

    def __init__(self, bounds: Bounds, code: Mapping[str, Code], module: str = MODULE) -> None:
        self._bounds = bounds
        self._code = code
        self._module = module
        self._template = Template(module)
        self._watch = Watch()

    async def work(self, work: Work, file: BinaryIO) -> Report:
        """Do it, and return when it is done; the process ends when this is cancelled. Takes over ``file``.

        A crash, a leak and a hang are reports like any other failure.

        Raises:
            TemplateGone: there is no process to be had now.
        """
        limit_s = min(work.plan.timeout_s or self._bounds.timeout_s, self._bounds.timeout_s)
        with file, tempfile.TemporaryDirectory(prefix="headwater-conversion-", ignore_cleanup_errors=True) as scratch:
            try:
                start = functools.partial(self._start, work, file, scratch, limit_s)
                worker = await opened_in_thread(start, lambda worker: worker.end("close"))
                return await self._compute(worker, work, limit_s)
            except HeadwaterError as error:
                if error.reason == "ENGINE_RESTARTING":
                    raise
                return _failed(error)

    async def close(self) -> None:
        """End every process."""
        await asyncio.to_thread(self._template.close)
        await asyncio.to_thread(self._watch.close)

    def _start(self, work: Work, file: BinaryIO, scratch: str, limit_s: float) -> Worker:
        worker = Worker.start(
            self._template, self._order(work, scratch), file, load_timeout_s=limit_s, timeout_s=limit_s
        )
        self._watch.add(worker, lambda _worker: None)
        return worker

    def _order(self, work: Work, scratch: str) -> Order:
        options = work.plan.engine
        code = self._code.get(options.architecture) if options.architecture else None
        if options.callable or options.triton is not None:
            raise OptionRefused("A callable and a remote server have nothing that could be converted.")
        return Order(
            work.file.format,
            dataclasses.replace(options, threads=options.threads or self._bounds.threads),
            self._bounds.memory_bytes,
            work.version.signature,
            code,
            str(work.version.name),
            work.file.digest,
            self._module,
            scratch,
            self._bounds.compiler and work.plan.tuning is not None,
        )

    async def _compute(self, worker: Worker, work: Work, limit_s: float) -> Report:
        given = [_as_bytes(_PLANS.dump_json(work.plan)), _as_bytes(work.parity), _as_bytes(work.pipeline.encode())]
        answer: asyncio.Future[list[Array]] = asyncio.get_running_loop().create_future()
        _in_thread(functools.partial(worker.compute, given), answer)
        try:
            report, model, parity = (bytes(array[0]) for array in await asyncio.shield(answer))
        except WorkerEnded as error:
            raise _end_of(worker, limit_s) from error
        finally:
            with contextlib.suppress(OSError):  # what waits for its answer gets WorkerEnded, and its thread ends
                await asyncio.to_thread(worker.end, "close")
        try:
            told = _TOLD.validate_json(report)
        except ValueError as error:
            raise EngineFailed("The job's process gave a report that cannot be read.") from error
        return Report(told.evidence, model, told.format, parity, told.failure_reason, _shown(told.failure))


def _end_of(worker: Worker, limit_s: float) -> HeadwaterError:
    match worker.ended_for:
        case "time":
            return EngineTimedOut(f"The job was stopped after {limit_s:g} s.")
        case "memory":
            return EngineOutOfMemory("The job wanted more memory than it may have.")
    return EngineCrashed(f"The job's process ended: {worker.describe_end()}.")


def _failed(error: HeadwaterError) -> Report:
    said = f" {error.__cause__}" if isinstance(error.__cause__, WorkerSaid) else ""
    return Report(None, failure_reason=error.reason, failure=_shown(f"{error.message}{said}"))


def _shown(words: str) -> str:
    """As the database takes it."""
    return words.replace("\0", "")[:_LONGEST_WORDS]


def _in_thread(call: Callable[[], list[Array]], answer: "asyncio.Future[list[Array]]") -> None:
    """Set ``answer`` to what a thread of its own has found: an hour's work is no place for the shared threads."""
    loop = asyncio.get_running_loop()

    def run() -> None:
        try:
            found = call()
        except BaseException as error:
            _tell(loop, answer, functools.partial(answer.set_exception, error))
        else:
            _tell(loop, answer, functools.partial(answer.set_result, found))

    threading.Thread(target=run, name="conversion", daemon=True).start()


def _tell(loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[list[Array]]", tell: Callable[[], None]) -> None:
    def unless_gone() -> None:
        if not answer.done():
            tell()

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(unless_gone)


def _as_bytes(content: bytes) -> Array:
    array: Array = np.empty((1,), np.object_)
    array[0] = content
    return array
