"""The template: has imported one kind of engine, and forks a worker whenever it is asked, in milliseconds.

It computes nothing itself and has one thread, so that forking is safe. It ends when the service does, and with it, by
the kernel's hand, all workers.

    python -m services.inference.engines.worker MODULE      with its socket as standard input
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
import traceback

from services.inference.engines.worker.child import Ends, run
from services.inference.engines.worker.confinement import follow_parent

_SOCKET = 0
_LONGEST_REQUEST = 4096
_END_S = 2.0


def main(module: str) -> None:
    """Do as the service asks until it is gone."""
    service = socket.socket(fileno=os.dup(_SOCKET))
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), _SOCKET)
    os.dup2(2, 1)  # what a model prints belongs to the log
    missing = _import(module)
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(service, _LONGEST_REQUEST, len(Ends.__slots__))
        if not message:
            return
        request = json.loads(message)
        answer: dict[str, str | int | None]
        if request["do"] == "fork" and missing:
            answer = {"missing": missing}
            for descriptor in descriptors:
                os.close(descriptor)
        elif request["do"] == "fork":
            answer = {"pid": _fork(service, descriptors)}
        else:
            answer = {"status": _end(request["pid"])}
        service.send(json.dumps(answer).encode())


def _import(module: str) -> str:
    """Import an engine; returns what of it is not installed."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return error.name or str(error)
    return ""


def _fork(service: socket.socket, descriptors: list[int]) -> int:
    template = os.getpid()
    pid = os.fork()
    if pid:
        _lead_group(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    code = 1
    try:
        follow_parent(template)
        _lead_group(0)
        service.close()
        run(Ends(*descriptors))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # nothing that the template's libraries registered for their end is to run twice


def _lead_group(pid: int) -> None:
    """Both sides see to it, so that it holds for whoever comes first."""
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)


def _end(pid: int) -> int | None:
    """Kill a worker, with all of its group; how it ended: an exit code, or a signal's number below zero."""
    deadline = time.monotonic() + _END_S
    try:
        while True:
            os.kill(pid, signal.SIGKILL)  # what has ended by itself keeps its own status
            with contextlib.suppress(ProcessLookupError):  # it may have left its group
                os.killpg(pid, signal.SIGKILL)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:  # in the kernel, which lets it go or not
                return None
            time.sleep(0.001)
    except (ChildProcessError, ProcessLookupError):
        return None


if __name__ == "__main__":
    main(sys.argv[1])
