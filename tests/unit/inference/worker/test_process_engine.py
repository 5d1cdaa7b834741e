"""What becomes of a model that crashes, hangs, leaks or lies, and of what is beside it."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from services.inference.engines.code import CodeChanged
from services.inference.engines.engine import (
    EngineCrashed,
    EngineFailed,
    EngineOutOfMemory,
    EngineRestarting,
    EngineTimedOut,
    ModelRefused,
)
from services.inference.engines.loader import Bounds, Engines
from services.inference.engines.options import EngineOptions
from services.inference.engines.worker.engine import ProcessEngine
from services.inference.engines.worker.template import Template
from services.inference.tensors.model import Array, TensorSpec
from tests.unit.inference import onnx_models
from tests.unit.inference.worker.conftest import Bench, a_file, ask, texts


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def answers_again(engine: ProcessEngine) -> bool:
    try:
        return ask(engine, "y = 1") == "1"
    except EngineRestarting:
        return False


@pytest.fixture(scope="module")
def neighbour(bench: Bench) -> ProcessEngine:
    """Another model, which never notices anything."""
    return bench.load("neighbour")


@pytest.fixture(scope="module")
def onnx() -> Iterator[Engines]:
    """Engines for ONNX files, which may take half a second."""
    engines = Engines(Bounds(threads=1, timeout_s=0.5))
    yield engines
    engines.close()


@pytest.mark.parametrize(
    ("crime", "error"),
    [
        ("import ctypes; ctypes.string_at(0)", EngineCrashed),
        ("import os; os.abort()", EngineCrashed),
        ("import signal; signal.raise_signal(40)", EngineCrashed),  # a signal without a name
        ("import os; os._exit(0)", EngineCrashed),
        ("import sys; sys.exit(3)", EngineCrashed),
        ("import os; os.closerange(0, 1000)", EngineCrashed),
        ("import time; time.sleep(1000)", EngineTimedOut),
        ("import re; re.match('(a+)+b', 'a' * 60)", EngineTimedOut),
    ],
)
def test_a_model_that_ends_or_hangs_affects_only_itself(
    bench: Bench, neighbour: ProcessEngine, crime: str, error: type[Exception]
) -> None:
    engine = bench.load("rogue")
    before, neighbours = engine.pid, neighbour.pid
    with pytest.raises(error):
        ask(engine, crime)
    assert ask(neighbour, "y = 1") == "1"
    until(lambda: answers_again(engine))
    assert engine.pid not in (0, before)
    assert not psutil.pid_exists(before)
    assert neighbour.pid == neighbours
    assert bench.engines.ends()["rogue", error.reason] >= 1  # type: ignore[attr-defined]
    engine.close()


def test_a_model_that_allocates_without_end_fails_and_goes_on(bench: Bench) -> None:
    """The allocation fails in the worker: nothing has to be killed."""
    engine = bench.load()
    before = engine.pid
    with pytest.raises(EngineOutOfMemory):
        ask(engine, "y = bytearray(4 * 2**30)")
    assert ask(engine, "y = 1") == "1"
    assert engine.pid == before
    engine.close()


def test_a_model_that_leaks_is_started_again_when_nothing_is_left(bench: Bench) -> None:
    engine = bench.load("leaking slowly")
    before = engine.pid
    leak = "import builtins\nbuiltins.leaks = [*getattr(builtins, 'leaks', []), bytearray(2**27)]"

    def leak_on() -> None:
        for _ in range(20):
            ask(engine, leak)

    with pytest.raises(EngineOutOfMemory):
        leak_on()
    until(lambda: answers_again(engine))
    assert engine.pid != before
    assert bench.engines.ends()["leaking slowly", "ENGINE_OUT_OF_MEMORY"] == 1
    ask(engine, leak)
    engine.close()


def test_a_leak_that_no_limit_of_the_kernel_counts_is_ended_by_the_watch(bench: Bench) -> None:
    """Shared memory is not the process's data; its resident size tells."""
    engine = bench.load("leaking")
    leak = "import mmap\nleaks = []\nwhile True: m = mmap.mmap(-1, 2**24); m[:] = bytes(2**24); leaks.append(m)"
    with pytest.raises((EngineOutOfMemory, EngineTimedOut)):
        ask(engine, leak)
    until(lambda: answers_again(engine))
    engine.close()


def test_a_worker_that_is_killed_while_it_is_idle_is_started_again_unasked(bench: Bench) -> None:
    engine = bench.load("idle")
    before = engine.pid
    os.kill(before, signal.SIGKILL)
    until(lambda: engine.pid not in (0, before))
    assert ask(engine, "y = content") == "the file"
    assert bench.engines.ends()["idle", "ENGINE_CRASHED"] == 1
    engine.close()


def test_a_model_that_crashes_again_and_again_is_started_less_and_less_often(bench: Bench) -> None:
    engine = bench.load("crashing")
    for _ in range(4):  # after which it is there again in a moment; that is waited for
        with pytest.raises(EngineCrashed):
            ask(engine, "import os; os._exit(1)")
        until(lambda: answers_again(engine))
    with pytest.raises(EngineCrashed):
        ask(engine, "import os; os._exit(1)")
    with pytest.raises(EngineRestarting) as caught:
        ask(engine, "y = 1")
    assert (caught.value.retry_after_ms or 0) > 500
    until(lambda: answers_again(engine))
    engine.close()


def test_closing_while_it_restarts_leaves_no_process(bench: Bench) -> None:
    engine = bench.load("closing")
    with pytest.raises(EngineCrashed):
        ask(engine, "import os; os._exit(1)")
    engine.close()
    time.sleep(0.05)
    assert engine.pid == 0
    assert "closing" not in {each.name for each in bench.engines.hosted()}


def test_a_template_that_is_killed_takes_its_workers_along_and_comes_back(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    engine = bench.load()
    worker = engine.pid
    os.kill(psutil.Process(worker).ppid(), signal.SIGKILL)
    until(lambda: not psutil.pid_exists(worker))
    until(lambda: answers_again(engine))


def test_no_process_outlives_a_service_that_is_killed(tmp_path: Path) -> None:
    """Not even a worker that hangs in C and a model that ignores signals."""
    model = tmp_path / "model.onnx"
    model.write_bytes(onnx_models.doubling())
    script = (
        "import sys, time\n"
        "from services.inference.engines.loader import Bounds, Engines\n"
        "engine = Engines(Bounds()).load('onnx', open(sys.argv[1], 'rb'))\n"
        "print(engine.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    service = subprocess.Popen([sys.executable, "-c", script, str(model)], stdout=subprocess.PIPE)
    assert service.stdout is not None
    worker = psutil.Process(int(service.stdout.readline()))
    template = worker.parent()
    assert template is not None
    worker.suspend()
    service.kill()
    service.wait()
    service.stdout.close()
    until(lambda: not worker.is_running() and not template.is_running())


def test_a_batch_may_be_larger_than_all_before(bench: Bench) -> None:
    """The shared memory grows with what is sent, and with what comes back."""
    engine = bench.load()
    for size in (1, 1000, 3_000_000):
        assert ask(engine, f"y = len('{'x' * size}')") == str(size)
        assert len(ask(engine, f"y = 'x' * {size}")) == size
    engine.close()


def test_a_file_that_changed_meanwhile_is_not_loaded_again(onnx: Engines, tmp_path: Path) -> None:
    """What is loaded after a crash are the bytes that were loaded before (promise 5)."""
    content = onnx_models.doubling()
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    engine = onnx.load("onnx", path.open("rb"), digest=digest)
    assert isinstance(engine, ProcessEngine)
    rows = np.ones((1, 4), np.float32)
    path.write_bytes(onnx_models.scaled(3))
    os.kill(engine.pid, signal.SIGKILL)
    until(lambda: engine.pid == 0)
    with pytest.raises(EngineRestarting):
        engine.predict([rows])
    path.write_bytes(content)
    until(lambda: engine.pid != 0)
    assert engine.predict([rows])[0].tolist() == [[2] * 4]
    engine.close()


def test_what_was_gathered_is_computed_in_its_order(onnx: Engines) -> None:
    engine = onnx.load("onnx", a_file(onnx_models.simple()))
    assert isinstance(engine, ProcessEngine)
    requests = [[np.full((rows, 16), rows, np.int32), np.full((rows, 16), 1, np.int32)] for rows in (1, 0, 3)]
    gathered = engine.gather(requests)
    total, difference = engine.predict(gathered)
    assert total[:, 0].tolist() == [2, 4, 4, 4]
    assert difference[:, 0].tolist() == [0, 2, 2, 2]
    assert engine.predict(requests[2])[0].tolist() == np.full((3, 16), 4).tolist()  # the next one stands for itself
    engine.close()


def test_answers_stand_for_themselves(onnx: Engines) -> None:
    """They are copies: what a worker writes later does not change them."""
    engine = onnx.load("onnx", a_file(onnx_models.doubling()))
    first = engine.predict([np.ones((2, 4), np.float32)])[0]
    engine.predict([np.full((2, 4), 7, np.float32)])
    assert first.tolist() == [[2] * 4] * 2
    engine.close()


def test_stop_ends_a_computation_that_can_be_stopped_and_no_later_one() -> None:
    engines = Engines(Bounds(threads=1))
    engine = engines.load("onnx", a_file(onnx_models.counting_loop()))
    assert isinstance(engine, ProcessEngine)
    before = engine.pid
    threading.Timer(0.1, engine.stop).start()
    begun = time.monotonic()
    with pytest.raises(EngineFailed):
        engine.predict([np.array([[2**62]], np.int64)])
    assert time.monotonic() - begun < 5
    engine.stop()
    assert engine.predict([np.array([[3]], np.int64)])[0].tolist() == [[3]]
    assert engine.pid == before
    engines.close()


def test_a_hang_that_can_be_stopped_costs_no_process(onnx: Engines) -> None:
    engine = onnx.load("onnx", a_file(onnx_models.counting_loop()))
    assert isinstance(engine, ProcessEngine)
    before = engine.pid
    with pytest.raises(EngineTimedOut):
        engine.predict([np.array([[2**62]], np.int64)])
    assert engine.predict([np.array([[3]], np.int64)])[0].tolist() == [[3]]
    assert engine.pid == before
    engine.close()


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("failing", ModelRefused, "not this file"),
        ("hanging", ModelRefused, "did not load within 2 s"),
        ("crashing", EngineCrashed, "ended while it loaded: killed by SIGSEGV"),
        ("changed", CodeChanged, "registered is sha256:0000"),
        ("none", CodeChanged, "no function absent"),
        ("unknown", ModelRefused, "No callable unknown is registered"),
    ],
)
def test_code_that_cannot_run_is_refused(bench: Bench, name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        bench.load(callable_name=name)


def test_an_engine_that_is_not_installed_is_named() -> None:
    template = Template("headwater_no_such_engine")
    with pytest.raises(ModelRefused, match="headwater_no_such_engine is missing"):
        template.fork([])
    template.close()


def test_a_callable_that_gives_what_its_signature_does_not_say_fails(bench: Bench) -> None:
    specs = TensorSpec("x", "FP32", (-1,)), TensorSpec("y", "INT64", (-1,))
    options = EngineOptions(callable="floats", inputs=specs[:1], outputs=specs[1:])
    engine = bench.engines.load("", a_file(b""), options)
    values: Array = np.ones(2, np.float32)
    with pytest.raises(EngineFailed):
        engine.predict([values])
    options = EngineOptions(callable="floats", inputs=specs[:1], outputs=(TensorSpec("y", "FP16", (-1,)),))
    engine = bench.engines.load("", a_file(b""), options)
    assert engine.predict([values])[0].tolist() == [2, 2]
    assert engine.signature.batchable


def test_a_failure_is_of_its_request_alone(bench: Bench) -> None:
    engine = bench.load()
    with pytest.raises(EngineFailed) as caught:
        ask(engine, "class Odd:\n  def __str__(self): raise ValueError('odd')\ny = Odd()")
    assert type(caught.value) is EngineFailed
    assert "ValueError('odd')" in str(caught.value.__cause__)  # for the log
    assert "odd" not in caught.value.message  # not for callers
    assert ask(engine, "y = 2") == "2"
    assert [bytes(each) for each in engine.predict([texts("y = 3", "y = 4")])[0]] == [b"3", b"4"]
    engine.close()
