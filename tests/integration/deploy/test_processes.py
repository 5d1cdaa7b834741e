"""Detached processes of the local stack: found again, told from strangers, stopped in time."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.processes import Processes, resident_bytes, runs

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]
WITH_CHILD = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)\n"
    "time.sleep(60)",
]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    yield started
    started.stop([path.stem for path in (tmp_path / "run").glob("*.json")], grace_s=0)


def test_a_process_is_found_again_by_another_reader(processes: Processes, tmp_path: Path) -> None:
    process = processes.start("one", SLEEP, {})
    found = Processes(tmp_path).find("one")
    assert found is not None
    assert found.pid == process.pid
    assert resident_bytes(found) > 2**20


def test_a_process_that_has_ended_is_not_found_and_its_words_are_kept(processes: Processes, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no port'); raise SystemExit(3)"]
    process = processes.start("one", command, {})
    process.wait(30)
    assert processes.find("one") is None
    assert processes.last_words("one") == "no port"


def test_a_process_that_got_the_id_of_ours_is_left_alone(processes: Processes, tmp_path: Path) -> None:
    stranger = processes.start("stranger", SLEEP, {})
    (tmp_path / "run/one.json").write_text(json.dumps({"pid": stranger.pid, "started_s": stranger.create_time() - 100}))
    assert processes.find("one") is None
    assert processes.stop(["one"], grace_s=1) == []
    assert stranger.is_running()


def test_stopping_asks_first(processes: Processes, tmp_path: Path) -> None:
    process = processes.start("one", SLEEP, {})
    assert processes.stop(["one"], grace_s=30) == []
    assert not runs(process)
    assert processes.find("one") is None


def test_a_process_that_does_not_listen_is_killed_after_the_grace_time(processes: Processes, tmp_path: Path) -> None:
    processes.start("deaf", STUBBORN, {})
    _wait_for_word(processes, "deaf")
    started = time.monotonic()
    assert processes.stop(["deaf"], grace_s=0.5) == ["deaf"]
    assert 0.4 < time.monotonic() - started < 10
    assert processes.find("deaf") is None


def test_what_a_process_has_started_ends_with_it(processes: Processes, tmp_path: Path) -> None:
    processes.start("parent", WITH_CHILD, {})
    child = psutil.Process(int(_wait_for_word(processes, "parent")))
    processes.stop(["parent"], grace_s=30)
    _wait_until(lambda: not runs(child))


def _wait_for_word(processes: Processes, name: str) -> str:
    _wait_until(lambda: processes.last_words(name) != "")
    return processes.last_words(name)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
