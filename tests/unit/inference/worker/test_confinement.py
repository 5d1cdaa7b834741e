"""What code in a worker cannot do (promise 12: it was registered by an administrator, and is confined all the same)."""

import os
import subprocess
import sys
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
    ],
)
def test_it_is_refused(engine: ProcessEngine, attempt: str) -> None:
    assert "Error" in ask(engine, attempt)
    assert ask(engine, "y = 1") == "1"


def test_it_sees_no_file_of_the_service(engine: ProcessEngine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    assert "PermissionError" in ask(engine, f"y = open({str(secret)!r}).read()")


def test_it_inherits_no_secret_and_no_descriptor(engine: ProcessEngine) -> None:
    environment = ask(engine, "import os; y = sorted(os.environ)")
    assert "SECRET" not in environment
    assert "HEADWATER" not in environment
    # Standard streams, two sockets, two memories and what they are mapped by; the model's file is closed.
    assert len(psutil.Process(engine.pid).open_files()) == 0
    links = [os.readlink(f"/proc/{engine.pid}/fd/{each}") for each in os.listdir(f"/proc/{engine.pid}/fd")]
    assert sum(link.startswith("socket:") for link in links) == 2
    assert len(links) <= 11, links


def test_it_may_make_the_shared_memory_as_large_as_it_likes(engine: ProcessEngine) -> None:
    """The service maps what an answer needs and no more; and nobody can make it smaller."""
    memories = (
        "import os\n"
        "for each in os.listdir('/proc/self/fd'):\n"
        "  path = '/proc/self/fd/' + each\n"
        "  if os.path.exists(path) and 'memfd' in os.readlink(path): os.truncate(path, SIZE)"
    )
    before = psutil.Process().memory_info().vms
    assert "Error" not in ask(engine, memories.replace("SIZE", "2**40"))
    assert len(ask(engine, "y = 'x' * 10_000_000")) == 10_000_000
    assert psutil.Process().memory_info().vms - before < 2**30
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
