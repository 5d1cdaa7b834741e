"""What code in a worker cannot do (promise 12: it was registered by an administrator, and is confined all the same)."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from services.inference.engines.worker.engine import ProcessEngine
from tests.unit.inference.worker.conftest import Bench, ask


@pytest.fixture(scope="module")
def engine(bench: Bench) -> ProcessEngine:
    return bench.load()


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['/bin/true'])",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import os; os.kill(os.getppid(), 9)",
        "import os; os.kill(1, 0)",
        "open('/etc/passwd').read()",
        "import os; os.listdir('/')",
        "open('/tmp/written', 'w')",
        "import os; os.mkdir('/tmp/made')",
        "import os; open(f'/proc/{os.getppid()}/environ').read()",
        "import os; os.setpgid(0, os.getppid())",
        "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
        "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 5)",
        "import os; os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))",
        "import fcntl, os, socket; fcntl.fcntl(socket.socketpair()[0], fcntl.F_SETOWN, os.getppid())",
        "import fcntl, socket; fcntl.ioctl(socket.socketpair()[0], 0x8901, bytes(4))",
        "import os; os.memfd_create('more')",
        "import socket; socket.sethostname(socket.gethostname())",
        "import os; os.chroot('/')",
        "import time; time.clock_settime(time.CLOCK_REALTIME, time.time())",
    ],
)
def test_it_is_refused(engine: ProcessEngine, attempt: str) -> None:
    assert "Error" in ask(engine, attempt)
    assert ask(engine, "y = 1") == "1"


def test_it_sees_no_file_of_the_service(engine: ProcessEngine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    assert "PermissionError" in ask(engine, f"y = open({str(secret)!r}).read()")


@pytest.mark.parametrize(
    "change", ["chmod(path, 0o777)", "chown(path, 0, 0)", "utime(path)", "setxattr(path, 'user.a', b'')"]
)
def test_it_changes_nothing_about_a_file_either(engine: ProcessEngine, tmp_path: Path, change: str) -> None:
    """Landlock lets it: the key file of a service could be opened to everybody, or taken from the service."""
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o600)
    before = key.stat()
    assert "PermissionError" in ask(engine, f"import os; path = {str(key)!r}; os.{change}")
    assert key.stat() == before


def test_it_sees_nothing_of_the_directory_in_which_the_service_was_started(
    make_bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("secret")
    monkeypatch.chdir(tmp_path)
    engine = make_bench().load()
    assert "PermissionError" in ask(engine, "y = open('key').read()")
    assert "PermissionError" in ask(engine, f"y = open({str(tmp_path / 'key')!r}).read()")


def test_it_keeps_no_memory_that_outlives_it(engine: ProcessEngine) -> None:
    """System V's has no owner that could be ended."""
    code = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); y = libc.shmget(0, 4096, 0o1600), ctypes.get_errno()"
    )
    assert ask(engine, code) == "(-1, 1)"


def test_root_is_nobody_special_in_it(engine: ProcessEngine) -> None:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{engine.pid}/status").read_text().splitlines())
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


def test_it_bounds_and_reads_its_own_limits(engine: ProcessEngine) -> None:
    """Libraries do."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK)); y = 1"
    )
    assert ask(engine, code) == "1"


def test_it_inherits_no_secret_and_no_descriptor(engine: ProcessEngine) -> None:
    environment = ask(engine, "import os; y = sorted(os.environ)")
    assert "SECRET" not in environment
    assert "HEADWATER" not in environment
    # Standard streams, two sockets, two memories and what they are mapped by; the model's file is closed.
    assert len(psutil.Process(engine.pid).open_files()) == 0
    links = [os.readlink(f"/proc/{engine.pid}/fd/{each}") for each in os.listdir(f"/proc/{engine.pid}/fd")]
    assert sum(link.startswith("socket:") for link in links) == 2
    assert len(links) <= 11, links


def test_the_shared_memory_is_bounded(engine: ProcessEngine) -> None:
    """Twice what the model may take, whatever it writes there; and nobody can make it smaller."""
    memories = (
        "import os\n"
        "for each in os.listdir('/proc/self/fd'):\n"
        "  path = '/proc/self/fd/' + each\n"
        "  if os.path.exists(path) and 'memfd' in os.readlink(path): os.truncate(path, SIZE)"
    )
    before = psutil.Process().memory_info().vms
    assert "File too large" in ask(engine, memories.replace("SIZE", "2**40"))
    assert "Error" not in ask(engine, memories.replace("SIZE", "2**28"))
    assert len(ask(engine, "y = 'x' * 10_000_000")) == 10_000_000
    assert psutil.Process().memory_info().vms - before < 2**28
    assert "PermissionError" in ask(engine, memories.replace("SIZE", "0"))
    assert ask(engine, "y = 1") == "1"


def test_it_can_start_threads(engine: ProcessEngine) -> None:
    """Libraries need them."""
    code = "import threading; t = threading.Thread(target=print); t.start(); t.join(); y = 'joined'"
    assert ask(engine, code) == "joined"


def test_the_kernel_ends_it_before_the_service(engine: ProcessEngine) -> None:
    assert int(Path(f"/proc/{engine.pid}/oom_score_adj").read_text()) == 500


def test_a_terminals_interrupt_does_not_reach_it(engine: ProcessEngine) -> None:
    assert os.getpgid(engine.pid) != os.getpgid(0)
    assert os.getsid(engine.pid) != os.getsid(0)


def test_without_its_confinement_it_could() -> None:
    """So that the tests above test the confinement, and not this machine."""
    tried = "import os, socket; socket.socket().close(); os.kill(os.getppid(), 0); open('/etc/passwd').close()"
    assert subprocess.run([sys.executable, "-c", tried], check=False).returncode == 0
