"""When ``torch.compile`` is not measured, and what a candidate says then; what it makes is measured where jobs run."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
import torch
import torch._inductor.config as inductor
from torch import nn

from services.inference.conversions.model import Plan, Tuning
from services.inference.conversions.working import compiling
from services.inference.conversions.working import source as sources
from services.inference.conversions.working.compiling import compile_source
from services.inference.conversions.working.made import Bench
from services.inference.conversions.working.timing import measure
from services.inference.engines.options import EngineOptions
from services.inference.engines.order import Order
from tests.unit.inference.conversions.test_working import SAID, VERSION, network, scripted
from tests.unit.inference.test_torch_engines import exported

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def bench(content: bytes, format_name: str, *, compiler: bool = True, scratch: str = "") -> Bench:
    options = EngineOptions(threads=1) if format_name == "torch_export" else SAID
    order = Order(format_name, options, compiler=compiler, scratch=scratch)
    plan = Plan(VERSION, tuning=Tuning(seconds=0.1))
    return Bench(sources.load(content, order), plan, order, b"", "")


def program(module: nn.Module) -> bytes:
    return exported(module, torch.zeros(2, 16))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a worker says of its whole process is said of this one for a test."""
    for name in ("PATH", "HOME", "USER", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(name, "/")
    with inductor.patch({"compile_threads": 1, "cpp_cache_precompile_headers": False, "cpp.vec_isa_ok": True}):
        yield


def test_it_is_refused_where_the_operator_does_not_allow_it() -> None:
    candidate, engine = compile_source(bench(program(network()), "torch_export", compiler=False), 1)
    assert engine is None
    assert candidate.refused.startswith("NO_COMPILER: the service's setting conversion_compiler")


def test_torchscript_is_nothing_that_it_compiles() -> None:
    candidate, engine = compile_source(bench(scripted(network()), "torchscript"), 1)
    assert engine is None
    assert candidate.refused.startswith("CANNOT_COMPILE: TorchScript")


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (FileNotFoundError(), "NO_COMPILER: no g++ is installed in /usr/local/bin:/usr/bin:/bin."),
        (PermissionError(), "NO_COMPILER: this kernel cannot confine a process that starts programs."),
        (subprocess.CalledProcessError(3, "g++"), "NO_COMPILER: g++ --version ends with 3."),
    ],
)
def test_a_compiler_that_does_not_start_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, outcome: Exception, words: str
) -> None:
    def run(*_: object, **__: object) -> None:
        raise outcome

    prepared = bench(program(network()), "torch_export", scratch="/nowhere")
    monkeypatch.setattr(subprocess, "run", run)
    candidate, engine = compile_source(prepared, 1)
    assert (candidate.refused, engine) == (words, None)


def test_what_takes_too_long_is_given_up_whatever_its_end_is_made_into() -> None:

    def waiting() -> None:
        with compiling._within(0.05):
            time.sleep(10)

    def failing_to_kill() -> None:
        with compiling._within(0.05):
            try:
                time.sleep(10)
            except BaseException as error:
                raise PermissionError("not to be killed") from error

    for wait in (waiting, failing_to_kill):
        begun = time.monotonic()
        with pytest.raises(Exception, match=r"^NO_COMPILER: it has not compiled within 0.05 s"):
            wait()
        assert time.monotonic() - begun < 5
    with pytest.raises(ValueError, match="its own"), compiling._within(5):
        raise ValueError("its own")


def test_what_cannot_be_chosen_drops_nothing_that_can() -> None:
    """Else evidence would decide: the second fastest was dropped for being slower than what nobody may have."""
    now = 0.0

    def taking(seconds: float) -> Callable[[], None]:
        def call() -> None:
            nonlocal now
            now += seconds

        return call

    calls = {"baseline": taking(4.0), "better": taking(3.0), "compiled": taking(1.0), "worse": taking(9.0)}
    times = measure(calls, "baseline", 60.0, lambda: now, ["compiled"])
    rounds = {name: len(each.seconds) for name, each in times.items()}
    assert rounds["better"] == rounds["baseline"] == rounds["compiled"] >= 7
    assert rounds["worse"] == 5
    assert measure(calls, "baseline", 60.0, lambda: now)["better"].seconds == (3.0,) * 5
