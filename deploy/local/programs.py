"""The six services as processes: which module, which ports, which name in endpoints.json."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from chassis.sockets import UNIX_PATH_MAX_BYTES
from deploy.ports import HOST, free


@dataclasses.dataclass(frozen=True)
class Program:
    """One service. `ports` maps each port setting to its standard value, the admin port included."""

    name: str
    ports: Mapping[str, int]
    # The settings by which every service is told where a port of this one is: {"registry_address": "port"}.
    told_as: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # Its Unix sockets by setting, each with its name in endpoints.json, which is also that of the file.
    sockets: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def module(self) -> str:
        return f"services.{self.name}"


PROGRAMS = (
    Program("registry", {"port": 50051, "admin_port": 51051}, {"registry_address": "port"}),
    Program(
        "dataset",
        {"port": 50052, "flight_port": 50062, "admin_port": 51052},
        {"dataset_address": "port", "dataset_flight_address": "flight_port"},
        {"flight_socket": "dataset_flight_socket"},
    ),
    Program("preprocessing", {"port": 50053, "admin_port": 51053}, {"preprocessing_address": "port"}),
    Program("training_scheduler", {"port": 50054, "admin_port": 51054}, {"training_address": "port"}),
    Program(
        "inference",
        {"port": 50055, "http_port": 50065, "flight_port": 50075, "admin_port": 51055},
        {"inference_address": "port"},
    ),
    Program("gateway", {"http_port": 9000, "port": 50056, "admin_port": 51056}),
)

Ports = Mapping[str, Mapping[str, int]]  # program name -> port setting -> port


def standard_ports() -> Ports:
    """The ports of the documentation."""
    return {program.name: dict(program.ports) for program in PROGRAMS}


def free_ports() -> Ports:
    """Ports that nobody uses now, for a second stack on one machine (tests)."""
    chosen = iter(free(sum(len(program.ports) for program in PROGRAMS)))
    return {program.name: {setting: next(chosen) for setting in program.ports} for program in PROGRAMS}


def addresses(ports: Ports) -> dict[str, str]:
    """The address settings that every service is started with: {"registry_address": "127.0.0.1:50051", ...}."""
    return {
        setting: f"{HOST}:{ports[program.name][port]}"
        for program in PROGRAMS
        for setting, port in program.told_as.items()
    }


def socket_path(home: Path, name: str) -> str:
    """Where a Unix socket lies in a state directory; empty, and so none, where its path would be too long."""
    path = str(home / "sockets" / name)
    return path if len(os.fsencode(path)) <= UNIX_PATH_MAX_BYTES else ""


def endpoints(ports: Ports, home: Path) -> dict[str, str]:
    """What the client reads (`headwater.client.Endpoints`): {"registry": "127.0.0.1:50051", ...}."""
    services = {setting.removesuffix("_address"): address for setting, address in addresses(ports).items()}
    sockets = {name: socket_path(home, name) for program in PROGRAMS for name in program.sockets.values()}
    inference = {f"inference_{kind}": f"{HOST}:{ports['inference'][f'{kind}_port']}" for kind in ("http", "flight")}
    gateway = f"http://{HOST}:{ports['gateway']['http_port']}"
    return {**services, **sockets, **inference, "gateway": gateway}
