"""Where a remote model is, as a deployment says it."""

import dataclasses
import re

from headwater.errors import InvalidArgument

_ADDRESS = re.compile(r"([a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\]):([0-9]{1,5})", re.ASCII)
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,254}", re.ASCII)
_VERSION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


class InvalidEndpoint(InvalidArgument):
    """What a deployment says of a remote model cannot be one."""

    reason = "INVALID_ENGINE"


@dataclasses.dataclass(frozen=True, slots=True)
class TritonEndpoint:
    """One version of a model on one server.

    Attributes:
        address: host and port of its gRPC, ``triton.example.com:8001``; in lower case, an IPv6 address in brackets.
        model_name: as the server knows it.
        model_version: a number of its own; never the latest, so that what answers does not change unnoticed.
        tls: whether the server is spoken to with TLS, and has to prove its host name.
    """

    address: str
    model_name: str
    model_version: str
    tls: bool = False

    def __post_init__(self) -> None:
        for field, form, wanted in (
            ("address", _ADDRESS, "a host in lower case and a port, triton.example.com:8001"),
            ("model_name", _MODEL, "the name of a model on the server"),
            ("model_version", _VERSION, "the number of a version on the server"),
        ):
            if not form.fullmatch(getattr(self, field)):
                raise InvalidEndpoint(f"{field} must be {wanted}.", field=f"engine.triton.{field}")
        if not 0 < self.port < 65536:
            raise InvalidEndpoint(f"There is no port {self.port}.", field="engine.triton.address")

    @property
    def host(self) -> str:
        """Without port, and without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port."""
        return int(self.address.rpartition(":")[2])
