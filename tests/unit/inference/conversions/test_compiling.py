"""When ``torch.compile`` is not measured, and what a candidate says then; what it makes is measured where jobs run."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
import torch
import torch._inductor.config as inductor
from torch import nn
from torch._dynamo.exc import Unsupported
from torch._inductor.exc import CppCompileError, InductorError

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
        time.sleep(10)

    def failing_to_kill() -> None:
        try:
            time.sleep(10)
        except BaseException as error:
            raise PermissionError("not to be killed") from error

    for wait in (waiting, failing_to_kill):
        begun = time.monotonic()
        with pytest.raises(Exception, match=r"^NO_COMPILER: it has not compiled within 0.05 s"):
            compiling._within(0.05, wait)
        assert time.monotonic() - begun < 5
    with pytest.raises(ZeroDivisionError):
        compiling._within(5, lambda: 1 // 0)


def test_an_alarm_after_the_end_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer runs until it is off: what it says then would leave as nothing that anybody catches."""
    alarms = 0
    setitimer = signal.setitimer

    def rung_before_it_is_off(which: int, seconds: float) -> None:
        nonlocal alarms
        if not seconds:
            alarms += 1
            signal.raise_signal(signal.SIGALRM)
        setitimer(which, seconds)

    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(signal, "setitimer", rung_before_it_is_off)
    assert compiling._within(5, lambda: "made") == "made"
    with pytest.raises(ZeroDivisionError):
        compiling._within(5, lambda: 1 // 0)
    assert alarms == 2
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            Unsupported("Attempted to call a skipped function\n  Explanation: /srv/x"),
            "Attempted to call a skipped function",
        ),
        (Unsupported("reads '/srv/a b/c.py', -I/usr/include and /tmp"), "reads (path), -I(path) and (path)"),
        (Unsupported("a\0b\ud800c and/or 1 / 2"), "a\ufffdb?c and/or 1 / 2"),
        (InductorError(CppCompileError(["g++", "/srv/job/x.cpp"], "x"), None), "C++ compile error"),
        (InductorError(PermissionError(13, "denied", "/srv/secret"), None), "PermissionError"),
        (RuntimeError("/srv/secret\0"), "RuntimeError"),
        (Unsupported(""), "Unsupported"),
    ],
)
def test_users_see_pytorchs_words_and_the_log_has_the_whole(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    def fail(*_: torch.Tensor) -> None:
        raise error

    prepared = bench(program(network()), "torch_export", scratch="/nowhere")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)  # whether there is a compiler or not
    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    candidate, engine = compile_source(prepared, 1)
    assert (candidate.refused, engine) == (f"CANNOT_COMPILE: {words}", None)
    assert type(error).__name__ in (logged := capfd.readouterr().err)
    assert "/srv" in logged or "/srv" not in str(error)


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
