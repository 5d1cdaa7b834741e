"""The service's side of templates: processes that have imported an engine, and fork workers of it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headwater.errors import Unavailable
from services.inference.engines.engine import ModelRefused

_PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME",
    "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
)  # fmt: skip
"""All of the service's environment that a worker gets: no token, no password, no address."""
_PYTHONPATH = "PYTHONPATH"
_ANSWER_S = 120.0
_LONGEST_ANSWER = 4096


class TemplateGone(Unavailable):
    """The process from which workers are forked has ended, or could not begin."""

    reason = "ENGINE_RESTARTING"
    text = "The process that starts engines has ended."


class Template:
    """One template, for one module. Started at its first use, and again after it has ended. Usable by any thread."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def fork(self, descriptors: Sequence[int]) -> int:
        """A new worker, which gets these descriptors; its pid.

        Raises:
            TemplateGone: it could not be forked.
            ModelRefused: the engine is not installed.
        """
        with self._lock:
            if self._socket is None:
                self._start()
            answer = self._ask({"do": "fork"}, descriptors)
        if "missing" in answer:
            raise ModelRefused(f"The engine for this format is not installed here: {answer['missing']} is missing.")
        return int(answer["pid"])

    def end(self, pid: int) -> int | None:
        """Kill a worker if it lives, and bury it. How it ended: an exit code, or a signal's number below zero; None
        where nobody can say."""
        with self._lock:
            if self._socket is None:
                return None  # its workers ended with it
            try:
                status = self._ask({"do": "end", "pid": pid})["status"]
            except TemplateGone:
                return None
            return None if status is None else int(status)

    def close(self) -> None:
        """End the template and all of its workers."""
        with self._lock:
            self._drop()

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_ANSWER_S)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}", self._module],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={
                    **_import_path(),
                    **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                    # Files that may only be loaded as data are not to be loaded as code by any library's default.
                    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                start_new_session=True,  # a terminal's Ctrl-C is for the service, which answers what it has accepted
            )
        finally:
            theirs.close()
        self._socket = ours

    def _ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> Any:
        assert self._socket is not None
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], list(descriptors))
            answer = self._socket.recv(_LONGEST_ANSWER)
        except OSError:
            answer = b""
        if not answer:
            self._drop()
            raise TemplateGone(retry_after_ms=1000)
        return json.loads(answer)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            if self._process.returncode is None:
                self._process.kill()
                self._process.wait()
            self._process = None


def _import_path() -> dict[str, str]:
    """Where a template finds what this process has imported. The current directory is not among it unless this service
    itself is there: a worker can read what it can import, and a service may have been started beside its data."""
    own = str(Path(__file__).parents[4])
    places = [each for each in os.environ.get(_PYTHONPATH, "").split(os.pathsep) if each]
    if own == sys.path[0] and own not in sys.path[1:]:
        places.append(own)
    return {_PYTHONPATH: os.pathsep.join(places)} if places else {}


class Templates:
    """One template for each kind of engine."""

    def __init__(self) -> None:
        self._by_module: dict[str, Template] = {}
        self._lock = threading.Lock()

    def of(self, module: str) -> Template:
        """The template that has imported ``module``."""
        with self._lock:
            return self._by_module.setdefault(module, Template(module))

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            for template in self._by_module.values():
                template.close()
