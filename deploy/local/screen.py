"""The tables that `up` and `status` print."""

import time
from collections.abc import Mapping

import psutil

from deploy.local.processes import resident_bytes
from deploy.local.programs import PROGRAMS
from deploy.local.stack import Stack, readiness
from deploy.ports import HOST

ROW = "{:<20} {:<12} {:>7} {:>10} {:>9}  {}"


def table(stack: Stack) -> str:
    """One row for each server and service: state, process, memory, age, address."""
    rows = [ROW.format("name", "state", "pid", "resident", "up", "address")]
    total = 0
    for name, server in stack.servers.items():
        if name in stack.external:
            rows.append(ROW.format(name, "external", "", "", "", "from the environment"))
        elif not server.running:
            rows.append(ROW.format(name, "down", "", "", "", ""))
        else:
            text, size = _row(name, "ready", psutil.Process(server.pid), f"{HOST}:{server.port}")
            rows.append(text)
            total += size
    for program in PROGRAMS:
        process = stack.processes.find(program.name)
        if process is None:
            rows.append(ROW.format(program.name, "down", "", "", "", ""))
            continue
        ports = stack.ports()[program.name]
        state = "ready" if readiness(ports["admin_port"]) == "" else "not ready"
        text, size = _row(program.name, state, process, addresses(ports))
        rows.append(text)
        total += size
    return "\n".join([*rows, ROW.format("", "", "", f"{total / 2**20:.0f} MiB", "", "").rstrip()])


def addresses(ports: Mapping[str, int]) -> str:
    """Where a program listens, and what it speaks there: ``127.0.0.1  grpc :50055  http :50065  admin :51055``."""
    spoken = ((setting.removesuffix("port").rstrip("_") or "grpc", port) for setting, port in ports.items())
    return "  ".join([HOST, *(f"{what} :{port}" for what, port in spoken)])


def _row(name: str, state: str, process: psutil.Process, address: str) -> tuple[str, int]:
    size = resident_bytes(process)
    age_s = time.time() - process.create_time()
    age = f"{age_s:.0f} s" if age_s < 600 else f"{age_s / 60:.0f} min"
    return ROW.format(name, state, process.pid, f"{size / 2**20:.0f} MiB", age, address), size
