"""A compose project as one thing: built, started, waited for, and described to the client."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.compose.engine import ROOT, SERVICES, Compose, EngineError
from deploy.compose.passwords import ensure_passwords
from deploy.files import write, write_secret

START_TIMEOUT_S = 180.0
# docker-compose.yml names the files in it.
PASSWORDS = ROOT / ".headwater" / "compose"
# The variable of docker-compose.yml by which a published port is chosen, and its standard value.
STANDARD_PORTS = {
    "REGISTRY_PORT": 50051,
    "DATASET_PORT": 50052,
    "DATASET_FLIGHT_PORT": 50062,
    "PREPROCESSING_PORT": 50053,
    "TRAINING_PORT": 50054,
    "INFERENCE_PORT": 50055,
    "INFERENCE_HTTP_PORT": 50065,
    "INFERENCE_FLIGHT_PORT": 50075,
    "GATEWAY_PORT": 9000,
}
MINT = """
from chassis.auth import Authenticator, Role
print(Authenticator.from_key_file("/run/headwater/auth.key").mint("admin", [Role.ADMIN], 365 * 24 * 3600))
"""


class Project:
    """One running copy of docker-compose.yml.

    Args:
        name: of the compose project.
        home: where the client finds it: `endpoints.json` and `token`, as in the local stack's state directory.
        ports: the published ports, by the names of STANDARD_PORTS.
    """

    def __init__(self, name: str, home: Path, ports: Mapping[str, int], report: Callable[[str], None]) -> None:
        self._home = home
        self._ports = ports
        self._report = report
        self.compose = Compose(name, {variable: str(port) for variable, port in ports.items()})

    def build(self) -> None:
        """Builds the six images."""
        ensure_passwords(PASSWORDS)
        log = PASSWORDS / "build.log"
        log.unlink(missing_ok=True)
        for service in SERVICES:  # the first installs what all share
            started = time.monotonic()
            self._report(f"building the image of {service} (details in {log.relative_to(ROOT)})")
            self.compose.run("build", service, log=log)
            self._report(f"built the image of {service} in {time.monotonic() - started:.0f} s")

    def up(self) -> None:
        """Starts every container, waits until all are healthy, and tells the client where they are.

        Raises:
            EngineError: a container did not become healthy; the end of its log is shown.
        """
        ensure_passwords(PASSWORDS)
        self.compose.run("up", "--detach", "--no-build")
        self._wait()
        self._home.mkdir(parents=True, exist_ok=True)
        write_secret(self._home / "token", self.compose.output("exec", "-T", "registry", "python", "-c", MINT).strip())
        write(self._home / "endpoints.json", json.dumps(self.endpoints(), indent=2) + "\n")

    def down(self, *, volumes: bool) -> None:
        """Stops and removes the containers; with `volumes`, their data too."""
        self.compose.run("down", *(["--volumes"] if volumes else []), "--remove-orphans")

    def endpoints(self) -> dict[str, str]:
        """What the client reads (`headwater.client.Endpoints`)."""
        by_name = {variable.removesuffix("_PORT").lower(): port for variable, port in self._ports.items()}
        gateway = f"http://127.0.0.1:{by_name.pop('gateway')}"
        return {**{name: f"127.0.0.1:{port}" for name, port in by_name.items()}, "gateway": gateway}

    def _wait(self) -> None:
        started, healthy = time.monotonic(), set[str]()
        while len(healthy) < len(SERVICES):
            time.sleep(2)
            states = self.compose.states()
            for service in sorted(service for service, state in states.items() if state == "healthy"):
                if service not in healthy:
                    healthy.add(service)
                    self._report(f"{service:<14} healthy after {time.monotonic() - started:.0f} s")
            if time.monotonic() - started > START_TIMEOUT_S:
                late = [service for service in SERVICES if service not in healthy]
                self.compose.run("logs", "--tail=40", *late)
                words = ", ".join(f"{service} is {states[service]}" for service in late)
                raise EngineError(f"After {START_TIMEOUT_S:.0f} s {words}; the end of the logs is above.")
