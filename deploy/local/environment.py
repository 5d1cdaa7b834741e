"""The environment of a service process: what the stack decides, and what the user has set for that service."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from deploy.local.programs import HOST, PROGRAMS, Ports, Program, addresses

PREFIX = "HEADWATER_"
# Read by the stack and the client themselves; no service knows them.
OURS = frozenset({"HEADWATER_HOME", "HEADWATER_TOKEN"})


def known_settings(program: Program) -> set[str]:
    """The environment variables that this service understands."""
    settings = importlib.import_module(f"{program.module}.settings").Settings
    return {f"{PREFIX}{name.upper()}" for name in settings.model_fields}


def check_user_settings(environment: Mapping[str, str] = os.environ) -> None:
    """Raises SystemExit that names each HEADWATER_ variable that nothing here understands: a typing error, mostly."""
    understood = OURS.union(*(known_settings(program) for program in PROGRAMS))
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in understood)
    if unknown:
        raise SystemExit(f"No service has the setting {', '.join(unknown)}: correct the name, or unset it.")


def environment_of(
    program: Program, *, home: Path, key_file: Path, ports: Ports, database_url: str, redis_url: str
) -> dict[str, str]:
    """The environment that `program` is started with; what the user has set goes before the stack's defaults."""
    known = known_settings(program)
    chosen = {
        "host": HOST,
        "database_url": database_url,
        "redis_url": redis_url,
        "blobs_url": (home / "blobs" / program.name).as_uri(),
        "auth_key_file": str(key_file),
        **addresses(ports),
        **{setting: str(port) for setting, port in ports[program.name].items()},
    }
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    users = {name: value for name, value in os.environ.items() if name in known}
    defaults = {f"{PREFIX}{name.upper()}": value for name, value in chosen.items()}
    return {**outside, "PYTHONUNBUFFERED": "1", **{n: v for n, v in defaults.items() if n in known}, **users}
