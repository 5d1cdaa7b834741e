"""The Ray actor that runs one rank of a gang on its host.

Sent to the cluster by value, so it imports nothing of ours: the hosts need Ray and the user's own software only.
"""

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

_MAX_WAITING_BYTES = 4 * 2**20


class Member:
    """One rank. ``run`` blocks, so the actor needs room for more than one call at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._output = bytearray()
        self._lock = threading.Lock()

    def place(self) -> dict[str, Any]:
        """Where this is: the node, its address, a port that was free a moment ago, and the GPUs given to this rank."""
        ray: Any = importlib.import_module("ray")
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        node = ray.get_runtime_context().get_node_id()
        gpus = [str(gpu) for gpu in ray.get_gpu_ids()]
        return {"node": node, "host": ray.util.get_node_ip_address(), "port": port, "gpus": gpus}

    def run(self, guard: str, argv: Sequence[str], env: Mapping[str, str], inherited: Sequence[str], cwd: str) -> int:
        """Run the command to its end and return its exit code; negative for the signal that killed it."""
        environment = {name: os.environ[name] for name in inherited if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-IS", "-c", guard, *argv],
            cwd=cwd or None,
            env={**environment, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        reading = threading.Thread(target=self._read, daemon=True)
        reading.start()
        code = self._process.wait()
        self.signal(signal.SIGKILL)  # what the command left running
        reading.join(timeout=5)
        return code

    def status(self) -> tuple[int, bytes]:
        """The process's id (0 before it runs), and what it has printed since the last call."""
        with self._lock:
            printed = bytes(self._output)
            self._output.clear()
        return self._process.pid if self._process else 0, printed

    def signal(self, number: int) -> None:
        """Send a signal to the command and all that it has started."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while data := os.read(self._process.stdout.fileno(), 2**18):
            with self._lock:
                self._output += data[: max(0, _MAX_WAITING_BYTES - len(self._output))]
