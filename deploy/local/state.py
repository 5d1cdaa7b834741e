"""The state directory: `.headwater/` in the repository, or where HEADWATER_HOME says.

auth.key          signs every token; made at the first `up`, mode 0600
token             an administrator's token, which the client uses by itself; mode 0600
endpoints.json    where each service answers; the client reads it by itself
ports.json        the ports of the running stack, so that what is started later fits to what runs
sockets/          Unix sockets of the services, for clients of the same user
postgres/ valkey/ blobs/ logs/ run/
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chassis.auth import Authenticator, Role
from deploy.files import write, write_secret

ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN_TTL_S = 365 * 24 * 3600


def default_home() -> Path:
    """The state directory when none is named."""
    return Path(os.environ.get("HEADWATER_HOME") or ROOT / ".headwater").absolute()


class State:
    """The files of one state directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.key_file = home / "auth.key"
        self.token_file = home / "token"
        self.endpoints_file = home / "endpoints.json"
        self._ports_file = home / "ports.json"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Only one `up` or `down` at a time works on this directory; the second waits."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def ensure_credentials(self) -> None:
        """Makes the key and the administrator's token where there are none. Neither is ever printed."""
        if not self.key_file.exists():
            write_secret(self.key_file, secrets.token_hex(32))
            self.token_file.unlink(missing_ok=True)
        if not self.token_file.exists():
            write_secret(self.token_file, self.mint("admin", Role.ADMIN, TOKEN_TTL_S))

    def mint(self, subject: str, role: Role, ttl_s: float) -> str:
        """A token of this installation.

        Raises:
            StartupError: it has no key yet, because it was never started.
        """
        return Authenticator.from_key_file(self.key_file).mint(subject, [role], ttl_s)

    def ports(self) -> dict[str, dict[str, int]] | None:
        """The ports of the stack that was started last."""
        ports: dict[str, dict[str, int]] | None = _read(self._ports_file)
        return ports

    def save_ports(self, ports: object) -> None:
        write(self._ports_file, json.dumps(ports, indent=2) + "\n")

    def endpoints(self) -> dict[str, str]:
        """Where each service answers."""
        return _read(self.endpoints_file) or {}

    def save_endpoints(self, endpoints: dict[str, str]) -> None:
        write(self.endpoints_file, json.dumps(endpoints, indent=2) + "\n")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
