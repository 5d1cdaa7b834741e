"""The environment of a service process: what the stack decides, and what the user has set for that service."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.programs import PROGRAMS, Ports, Program, addresses, socket_path
from deploy.ports import HOST

PREFIX = "HEADWATER_"
# Read by the stack and the client themselves; no service knows them.
OURS = frozenset(
    {
        "HEADWATER_HOME",
        "HEADWATER_TOKEN",
        "HEADWATER_GATEWAY_URL",
        "HEADWATER_DATASET_FLIGHT_SOCKET",
        "HEADWATER_INFERENCE_HTTP_ADDRESS",
        "HEADWATER_INFERENCE_FLIGHT_ADDRESS",
    }
)


def check_user_settings(environment: Mapping[str, str] = os.environ) -> None:
    """Refuses what would be ignored: a setting that no service has, and one that the stack decides itself.

    Raises:
        StackError: naming each of them.
    """
    given = {name for name in environment if name.startswith(PREFIX)} - OURS
    unknown = given.difference(*(_known(program) for program in PROGRAMS))
    if unknown:
        raise StackError(f"No service has the setting {_listed(unknown)}: correct the name, or unset it.")
    decided = given & {
        _variable(setting)
        for program in PROGRAMS
        for setting in ("host", *program.ports, *program.told_as, *program.sockets)
    }
    if decided:
        raise StackError(f"The local stack itself decides {_listed(decided)}: unset it.")


def environment_of(
    program: Program, *, home: Path, key_file: Path, ports: Ports, database_url: str, redis_url: str
) -> dict[str, str]:
    """The environment that `program` is started with; what the user has set goes before these values."""
    chosen = {
        "host": HOST,
        "database_url": database_url,
        "redis_url": redis_url,
        "blobs_url": (home / "blobs").as_uri(),
        "model_cache_dir": str(home / "models"),
        "training_dir": str(home / "training"),
        "auth_key_file": str(key_file),
        **addresses(ports),
        "told_inference_address": f"{HOST}:{ports['inference']['port']}",
        "told_inference_http_address": f"{HOST}:{ports['inference']['http_port']}",
        **{setting: str(port) for setting, port in ports[program.name].items()},
        **{setting: socket_path(home, name) for setting, name in program.sockets.items()},
    }
    known = _known(program)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    users = {name: value for name, value in os.environ.items() if name in known}
    defaults = {_variable(setting): value for setting, value in chosen.items() if _variable(setting) in known}
    return outside | defaults | users


def _known(program: Program) -> set[str]:
    """The environment variables that this service understands."""
    settings = importlib.import_module(f"{program.module}.settings").Settings
    return {_variable(setting) for setting in settings.model_fields}


def _variable(setting: str) -> str:
    return f"{PREFIX}{setting.upper()}"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
