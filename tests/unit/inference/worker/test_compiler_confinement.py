"""What a process can do that may start a compiler, and what neither it nor what it starts can."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

ALLOWED = {
    "a program": "subprocess.run(['/usr/bin/true'], check=True)",
    "the interpreter": "subprocess.run([sys.executable, '-c', ''], check=True)",
    "a file in its folder": "open(SCRATCH + '/written', 'w').close()",
    "a program's file in its folder": "subprocess.run(['/usr/bin/cp', '/usr/bin/true', SCRATCH], check=True)",
    "nothing as its output": "subprocess.run(['/usr/bin/true'], check=True, stdout=subprocess.DEVNULL)",
    "threads": "import threading; t = threading.Thread(target=print); t.start(); t.join()",
}
REFUSED = {
    "a socket": "import socket; socket.socket()",
    "a signal to its parent": "os.kill(os.getppid(), 0)",
    "a group of its own": "child('os.setpgid(0, 0)', os.setpgid, 0, 0)",
    "a session of its own": "subprocess.run(['/usr/bin/setsid', '/usr/bin/true'], check=True)",
    "a namespace of its own": "subprocess.run(['/usr/bin/unshare', '--user', '/usr/bin/true'], check=True)",
    "a child of its parent": "raw(56 if X86 else 220, 0x8000 | 17, 0, 0, 0, 0)",
    "a clone in a user namespace": "raw(56 if X86 else 220, 0x10000000 | 17, 0, 0, 0, 0)",
    "clone3": "raw(435, 0, 0, 0, 0, 0)",
    "ptrace": "raw(101 if X86 else 117, 0, 0, 0, 0, 0)",
    "execveat": "raw(322 if X86 else 281, -1, 0, 0, 0, 0)",
    "a file elsewhere": "open(OUTSIDE, 'w')",
    "a program's file elsewhere": "subprocess.run(['/usr/bin/cp', '/usr/bin/true', OUTSIDE], check=True)",
    "a file of the service": "subprocess.run(['/usr/bin/cat', SECRET], check=True, stderr=subprocess.DEVNULL)",
    "a program that it wrote": "subprocess.run([SCRATCH + '/program'], check=True)",
    "a program elsewhere": "subprocess.run([PROGRAM], check=True)",
    "a file's mode": "subprocess.run(['/usr/bin/chmod', '777', SECRET], check=True)",
}
DRIVER = """
import ctypes, json, os, platform, subprocess, sys
from services.inference.engines.worker.confinement import confine
given = json.loads(sys.argv[1])
X86 = platform.machine() == 'x86_64'
libc = ctypes.CDLL(None, use_errno=True)

def raw(*call):
    # Unlike a library's function, it could return twice: the child ends then.
    me = os.getpid()
    answer = libc.syscall(*call)
    if os.getpid() != me:
        os._exit(0)
    if answer < 0:
        raise OSError(ctypes.get_errno(), 'refused')

def child(_name, call, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            call(*arguments)
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise PermissionError('refused')

subprocess.run(['/usr/bin/cp', '/usr/bin/true', given['places']['SCRATCH'] + '/program'], check=True)
missing = confine(1 << 29, cuda=False, scratch=given['places']['SCRATCH'], compiler=given['compiler'])
answers = {}
for name, attempt in given['attempts'].items():
    try:
        exec(attempt, {**globals(), **given['places']})
        answers[name] = ''
    except Exception as error:
        answers[name] = repr(error)
print(json.dumps({'missing': missing, 'answers': answers}))
"""


@pytest.fixture(scope="module")
def attempted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Mapping[str, str]]:
    """Makes a process try everything, and tells what came of each."""
    directory = tmp_path_factory.mktemp("confined")
    (directory / "secret").write_text("secret")
    shutil.copy("/usr/bin/true", directory / "program")

    def attempt(*, compiler: bool) -> Mapping[str, str]:
        scratch = directory / f"scratch-{compiler}"
        scratch.mkdir()
        places = {"SCRATCH": scratch, "OUTSIDE": directory / "outside", "SECRET": directory / "secret"}
        places["PROGRAM"] = directory / "program"
        given = {
            "compiler": compiler,
            "attempts": {**ALLOWED, **REFUSED},
            "places": {name: str(place) for name, place in places.items()},
        }
        command = [sys.executable, "-c", DRIVER, json.dumps(given)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        told = json.loads(done.stdout.strip().splitlines()[-1])
        assert told["missing"] == []
        answers: Mapping[str, str] = told["answers"]
        return answers

    return attempt


@pytest.fixture(scope="module")
def answers(attempted: Callable[..., Mapping[str, str]]) -> Mapping[str, str]:
    return attempted(compiler=True)


@pytest.mark.parametrize("attempt", ALLOWED)
def test_what_a_compiler_needs_is_allowed(answers: Mapping[str, str], attempt: str) -> None:
    assert answers[attempt] == ""


@pytest.mark.parametrize("attempt", REFUSED)
def test_nothing_else_is(answers: Mapping[str, str], attempt: str) -> None:
    assert "Error" in answers[attempt]


def test_without_a_compiler_no_program_is_started(attempted: Callable[..., Mapping[str, str]]) -> None:
    """So that the profile is what allows it."""
    answers = attempted(compiler=False)
    assert "PermissionError" in answers["a program"]
    assert "PermissionError" in answers["a program's file in its folder"]
    assert all("Error" in answers[attempt] for attempt in REFUSED)
    assert answers["a file in its folder"] == answers["threads"] == ""
