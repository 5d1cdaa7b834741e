"""Several services of the platform, wired to each other as an installation is, in the test's own process."""

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from chassis.auth import Role
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.testing import StartService, TokenFor
from headwater.client import Area, Connection, Endpoints

# In the order in which they need each other; any other order works too, but is slower to become ready.
SERVICES: Final = ("registry", "dataset", "preprocessing", "training_scheduler", "inference", "gateway")
_AREAS: Final[dict[str, Area]] = {
    "registry": "registry",
    "dataset": "dataset",
    "preprocessing": "preprocessing",
    "training_scheduler": "training",
    "inference": "inference",
}


@dataclasses.dataclass(slots=True)
class Platform:
    """The services that run."""

    token_for: TokenFor
    services: dict[str, Service] = dataclasses.field(default_factory=dict)

    @property
    def endpoints(self) -> Endpoints:
        """Where they listen."""
        addresses: dict[str, str] = {
            _AREAS[name]: service.address for name, service in self.services.items() if name in _AREAS
        }
        if "dataset" in self.services:
            addresses["dataset_flight"] = f"127.0.0.1:{self.services['dataset'].flight_port}"
        if "inference" in self.services:
            addresses["inference_http"] = f"127.0.0.1:{self.services['inference'].http_port}"
            addresses["inference_flight"] = f"127.0.0.1:{self.services['inference'].flight_port}"
        if "gateway" in self.services:
            addresses["gateway"] = f"http://127.0.0.1:{self.services['gateway'].http_port}"
        return Endpoints(**addresses)

    def connect(self, *roles: Role) -> Connection:
        """A client in these roles; an administrator if none is given."""
        return Connection(self.endpoints, self.token_for(*(roles or (Role.ADMIN,))))


def settings_of(name: str) -> type[ServiceSettings]:
    """The settings class of a service."""
    module = importlib.import_module(f"services.{name}.settings")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ServiceSettings) and value is not ServiceSettings
    )
    return found


async def start(platform: Platform, name: str, start_service: StartService, directory: Path, **overrides: Any) -> None:
    """Start one more service, which finds those that run already."""
    build: Callable[..., Any] = importlib.import_module(f"services.{name}.__main__").build
    values: dict[str, Any] = {
        f"{area}_address": platform.services[service].address
        for service, area in _AREAS.items()
        if service in platform.services
    }
    if "dataset" in platform.services:
        values["dataset_flight_address"] = platform.endpoints.dataset_flight
    if name == "dataset":
        values["flight_port"] = 0
    if name == "gateway":
        values["http_port"] = 0
    if name == "training_scheduler":
        values["training_dir"] = directory
    platform.services[name] = await start_service(build, settings_of(name), **{**values, **overrides})
