"""Detached processes that are found again: by a record of their id and start time, so that a reused id is not ours."""

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from deploy.files import write


class Processes:
    """The processes started from one state directory: records in `run/`, output in `logs/`."""

    def __init__(self, home: Path) -> None:
        self._run = home / "run"
        self._logs = home / "logs"

    def start(self, name: str, command: list[str], environment: Mapping[str, str]) -> psutil.Process:
        """Starts `command` in a session of its own; it outlives this process. Its output is appended to its log."""
        self._run.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        # Not subprocess.Popen, which holds that whoever starts a process also waits for its end.
        pid = os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log(name)), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        process = psutil.Process(pid)
        write(self._run / f"{name}.json", json.dumps({"pid": pid, "started_s": process.create_time()}))
        return process

    def find(self, name: str) -> psutil.Process | None:
        """The running process of that name, or None if it was never started, has ended, or its id is another's now."""
        try:
            record = json.loads((self._run / f"{name}.json").read_text())
            process = psutil.Process(record["pid"])
            ours = process.create_time() == record["started_s"]
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None
        return process if ours and runs(process) else None

    def stop(self, names: Sequence[str], grace_s: float) -> list[str]:
        """Asks all of them to end at once, waits at most `grace_s` for the whole; returns those that had to be killed.

        What a process has started itself (training workers) ends with it: left-over children are killed too.
        """
        running = {name: process for name in names if (process := self.find(name)) is not None}
        families = {name: _children(process) for name, process in running.items()}
        for process in running.values():
            process.terminate()
        deadline = time.monotonic() + grace_s
        killed = []
        for name, process in running.items():
            if not _ended(process, max(0.0, deadline - time.monotonic())):
                killed.append(name)
                process.kill()
                _ended(process, 5)
            for child in families[name]:
                if child.is_running():
                    child.kill()
            (self._run / f"{name}.json").unlink(missing_ok=True)
        return killed

    def log(self, name: str) -> Path:
        """Where the output of that process goes."""
        return self._logs / f"{name}.log"

    def last_words(self, name: str, lines: int = 5) -> str:
        """The end of its log, for the message that it did not start."""
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""


def resident_bytes(process: psutil.Process) -> int:
    """Resident memory of the process with everything it has started."""
    total = 0
    for member in [process, *_children(process)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended between being listed and being asked
    return total


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def runs(process: psutil.Process) -> bool:
    """Whether the process still does something. A zombie does not: where process 1 reaps nobody, it stays for ever."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _ended(process: psutil.Process, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while runs(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(0)  # a child of our own is reaped
    return True
