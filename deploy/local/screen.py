"""The tables that `up` and `status` print."""

import time

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
        address = " ".join(f"{HOST}:{port}" for setting, port in ports.items() if setting != "admin_port")
        text, size = _row(program.name, state, process, f"{address}  admin :{ports['admin_port']}")
        rows.append(text)
        total += size
    return "\n".join([*rows, ROW.format("", "", "", f"{total / 2**20:.0f} MiB", "", "").rstrip()])


def _row(name: str, state: str, process: psutil.Process, address: str) -> tuple[str, int]:
    size = resident_bytes(process)
    age_s = time.time() - process.create_time()
    age = f"{age_s:.0f} s" if age_s < 600 else f"{age_s / 60:.0f} min"
    return ROW.format(name, state, process.pid, f"{size / 2**20:.0f} MiB", age, address), size
