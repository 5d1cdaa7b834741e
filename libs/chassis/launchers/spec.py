"""What a gang is asked to be, checked before anything starts."""

import dataclasses
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from headwater.errors import InvalidArgument

_MAX_PROCESSES = 4096
_MAX_RESTARTS = 1000
_MAX_UNITS = 100_000.0  # more CPU cores or GPUs for one process than any machine has
_MAX_MEMORY_BYTES = 2**50
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "PYTHONPATH")
"""What a gang's processes get of the environment of the process that starts them."""

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
"""The network interface that reaches this machine only."""


class InvalidGang(InvalidArgument):
    """A gang cannot be what it is asked to be; ``field`` names what is wrong."""

    reason = "INVALID_GANG"
    text = "The processes cannot be started like this."


@dataclasses.dataclass(frozen=True, slots=True)
class GangSpec:
    """A group of processes that start, fail and stop together and form one torch process group.

    Each process runs ``argv`` with RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT and, counting from 0,
    TORCHELASTIC_RESTART_COUNT set.

    Raises:
        InvalidGang: there is no program; a number is negative, not finite or absurd; a text has a NUL; a variable has a
            line break or no proper name.
    """

    argv: tuple[str, ...]
    """The argument vector; never a shell line."""
    processes: int = 1
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Added to a minimal environment (PATH, HOME, LANG and the like): the service's own secrets are not inherited."""
    cwd: Path | None = None
    """The working directory; it must exist. None: the service's own."""
    max_restarts: int = 0
    """How often the whole gang starts again after a process failed."""
    cpus: float = 1.0
    """CPU cores for each process. The gang does not start where there are fewer; using more is not prevented."""
    memory_bytes: int = 0
    """Memory for each process, likewise; 0 asks for none in particular."""
    gpus: int = 0
    """GPUs for each process. While the gang runs they are given to nobody else."""
    log: Path | None = None
    """Where standard output and error of all processes are appended; None discards them."""
    log_max_bytes: int = 64 * 2**20
    """The log takes this much of them; the rest is dropped, and the log's last line says so."""

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise InvalidGang("A command is needed: the program and its arguments.", field="argv")
        if any("\0" in argument for argument in self.argv):
            raise InvalidGang("An argument has a NUL character.", field="argv")
        _check("processes", self.processes, 1, _MAX_PROCESSES)
        _check("max_restarts", self.max_restarts, 0, _MAX_RESTARTS)
        _check("cpus", self.cpus, 0, _MAX_UNITS)
        _check("gpus", self.gpus, 0, _MAX_UNITS)
        _check("memory_bytes", self.memory_bytes, 0, _MAX_MEMORY_BYTES)
        _check("log_max_bytes", self.log_max_bytes, 0, _MAX_MEMORY_BYTES)
        for name, value in self.env.items():
            if not _VARIABLE.fullmatch(name):
                raise InvalidGang(f"{name[:80]!r} is not the name of an environment variable.", field="env")
            if re.search(r"[\0\r\n]", value):
                raise InvalidGang(f"The environment variable {name} has a NUL or a line break.", field="env")


def _check(field: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise InvalidGang(f"{field} must be from {least:g} to {most:g}, not {value:g}.", field=field)
