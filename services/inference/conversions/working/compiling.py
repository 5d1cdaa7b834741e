"""``torch.compile`` as a way to compute a source: what PyTorch writes in C++ is compiled and loaded into this process.

Only a process that may start the compiler can do so (see engines.worker.confinement). What is compiled goes with the
job's folder.
"""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

import torch
import torch._inductor.config as inductor
from torch._dynamo.exc import TorchRuntimeError, Unsupported, UserError
from torch._inductor.exc import CppCompileError, InvalidCxxCompiler, OperatorIssue, SubgraphLoweringException

from services.inference.conversions.evidence import Candidate
from services.inference.conversions.working.made import Bench, arranged
from services.inference.engines.engine import Engine
from services.inference.engines.order import Order
from services.inference.engines.pytorch.module import Computing, ModuleEngine
from services.inference.tensors.model import Array

LONGEST_S = 300.0
"""What compiling takes longer than is given up; of a job with a limit of its own, a quarter of that if it is less."""
_COMPILER = "g++"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_LONGEST_WORDS = 300
_KNOWN = (
    Unsupported,
    UserError,
    TorchRuntimeError,
    OperatorIssue,
    SubgraphLoweringException,
    CppCompileError,
    InvalidCxxCompiler,
)
"""What PyTorch raises for a model that it cannot compile."""
_ABSOLUTE_PATH = re.compile(r"""(["'])/.*?(\1|$)|/[\w.~-]+/[^\s"',)]*|(?<!\w)/\w[^\s"',)]*""")
"""In quotes, of several parts wherever it begins (-I/usr/include), or of one part."""

Made = TypeVar("Made")


class _Refused(Exception):
    """Why there is nothing to measure, in words that begin with the reason."""


class _TookTooLong(BaseException):
    """Raised where the compiler is waited for; nothing on the way out is to take it for a failure of its own."""


def compile_source(bench: Bench, threads: int) -> tuple[Candidate, Engine | None]:
    """The source compiled, warm, and compared by its answers; no engine where that cannot be, or is not close enough,
    and the candidate says why."""
    candidate = Candidate("torch.compile", bench.source.format, threads, size_bytes=len(bench.source.content))
    begun = time.perf_counter()
    try:
        _check(bench)
        torch.set_num_threads(threads)  # what is compiled holds for so many
        limit_s = min(LONGEST_S, bench.plan.timeout_s / 4 if bench.plan.timeout_s else LONGEST_S)
        engine, outputs = _within(limit_s, lambda: _warm(bench))
    except _Refused as error:
        return dataclasses.replace(candidate, refused=str(error)), None
    except Exception as error:
        traceback.print_exception(error, file=sys.stderr)  # the whole is for the service's log, and for nobody else
        return dataclasses.replace(candidate, refused=f"CANNOT_COMPILE: {_words(error)}"), None
    candidate = dataclasses.replace(candidate, conversion_s=time.perf_counter() - begun)
    candidate, why = bench.judged(candidate, outputs, bench.plan.gate)
    return candidate, None if why else engine


def _check(bench: Bench) -> None:
    """Go on if there is something to compile, and something to compile it with."""
    if not bench.order.compiler:
        raise _Refused("NO_COMPILER: the service's setting conversion_compiler does not allow to start one.")
    if bench.source.positional is None:
        raise _Refused("CANNOT_COMPILE: TorchScript is compiled by its own interpreter, and by nothing else.")
    if bench.order.options.on_cuda:
        raise _Refused("CANNOT_COMPILE: it is measured on the CPU only.")
    _settle(bench.order)
    try:
        subprocess.run([_COMPILER, "--version"], check=True, capture_output=True)
    except FileNotFoundError:
        raise _Refused(f"NO_COMPILER: no {_COMPILER} is installed in {_PATH}.") from None
    except PermissionError:
        raise _Refused("NO_COMPILER: this kernel cannot confine a process that starts programs.") from None
    except subprocess.CalledProcessError as error:
        raise _Refused(f"NO_COMPILER: {_COMPILER} --version ends with {error.returncode}.") from None


def _settle(order: Order) -> None:
    """All that is written goes to the job's folder, and nothing is started but the compiler."""
    os.environ.update(
        PATH=_PATH,
        HOME=order.scratch,
        USER="worker",  # there is no user database to ask
        TMPDIR=order.scratch,
        TORCHINDUCTOR_CACHE_DIR=f"{order.scratch}/compiled",
    )
    inductor.compile_threads = 1  # no pool of processes
    inductor.cpp.vec_isa_ok = True  # PyTorch knows what the processor can, without compiling to try it
    inductor.cpp_cache_precompile_headers = False  # larger than all that is compiled here


def _engine(bench: Bench) -> Engine:
    signature = bench.source.signature
    compiled: Callable[..., Any] = torch.compile(
        bench.source.positional, fullgraph=True, dynamic=signature.batchable or None
    )
    computing = Computing(bench.order.options, bench.order.memory_bytes)
    return ModuleEngine(lambda tensors: compiled(*tensors), signature, computing, "pytorch_compiled")


def _warm(bench: Bench) -> tuple[Engine, list[list[Array]]]:
    """The engine, compiled for requests as they are measured, and its answers."""
    engine = _engine(bench)
    outputs = bench.answers(engine)
    assert bench.plan.tuning is not None
    rows = bench.request(bench.plan.tuning.rows)
    engine.predict(arranged(bench.source.signature, engine.signature, rows))
    return engine, outputs


def _within(limit_s: float, work: Callable[[], Made]) -> Made:
    """Give up what takes longer. For the main thread, which is the one that computes in a worker."""
    over = done = False

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        nonlocal over
        if done:  # it came before it was off
            return
        over = True
        raise _TookTooLong

    before = signal.signal(signal.SIGALRM, give_up)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            return work()
        finally:
            done = True
    except BaseException as error:
        if over:  # whatever it was made into on its way: the compiler cannot be killed, only waited for
            raise _Refused(f"NO_COMPILER: it has not compiled within {limit_s:g} s.") from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _words(error: BaseException) -> str:
    """What PyTorch's compiler says of the model: its first line without this machine's paths, as a database takes it.
    Of all else the type's name, since nobody knows what its words have in them."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or getattr(chain[-1], "inner_exception", None)) is not None:
        chain.append(cause)
    known = [each for each in chain if isinstance(each, _KNOWN)]
    lines = str(known[-1]).strip().splitlines() if known else []
    if not lines:
        return type(chain[-1]).__name__
    shown = _ABSOLUTE_PATH.sub("(path)", lines[0][:_LONGEST_WORDS])[:_LONGEST_WORDS]
    return shown.replace("\0", "\ufffd").encode(errors="replace").decode()
