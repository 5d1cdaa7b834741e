"""The servers that an operator allows deployments to name."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from chassis.hosts import HostRule, parse_hosts
from headwater.errors import Unavailable
from services.inference.engines.engine import Engine, EngineTimedOut
from services.inference.engines.triton.connection import Connection
from services.inference.engines.triton.endpoint import TritonEndpoint
from services.inference.engines.triton.engine import TritonEngine
from services.inference.engines.triton.errors import RemoteNotReady
from services.inference.tensors.model import Signature


@dataclasses.dataclass(frozen=True, slots=True)
class Remotes:
    """Which servers may be spoken to, whose certificates are trusted (None: those that the machine trusts), and how
    long a call may take. By default there is no server."""

    hosts: Sequence[HostRule] = ()
    certificates: bytes | None = None
    timeout_s: float = 30.0

    @classmethod
    def from_settings(cls, hosts: str, ca_file: str, timeout_s: float) -> Self:
        """See the settings ``triton_hosts``, ``triton_ca_file`` and ``engine_timeout_s``."""
        return cls(parse_hosts(hosts), Path(ca_file).read_bytes() if ca_file else None, timeout_s)

    def connect(self, endpoint: TritonEndpoint, *, digest: str, signature: Signature | None) -> Engine:
        """The engine for the model at ``endpoint``, which must be the version with this digest and signature. Blocks.

        Raises:
            HostNotAllowed, RemoteRefused, EngineFailed: see TritonEngine.
            RemoteNotReady: the server is away, busy or hangs, or does not have the model ready; asking again may help.
        """
        connection = Connection(endpoint, self.hosts, certificates=self.certificates, timeout_s=self.timeout_s)
        try:
            return TritonEngine.connect(connection, digest=digest, registered=signature)
        except (Unavailable, EngineTimedOut) as error:  # not for those who wait for an answer, so the address is told
            raise RemoteNotReady(f"{endpoint.address}: {error.message}") from error
