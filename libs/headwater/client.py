"""A connection to a Headwater: where its services listen and the token that opens them.

    connection = Connection.discover()                  # what the command line uses
    models = models_pb2_grpc.ModelServiceStub(connection.channel("registry"))

Everything that a connection opens is opened on first use and shared after that, and may be used from many threads.
"""

import dataclasses
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import grpc

from headwater import rpc
from headwater.errors import FailedPrecondition
from headwater.sockets import listens

if TYPE_CHECKING:
    import pyarrow.flight

Area = Literal["registry", "dataset", "preprocessing", "training", "inference"]
"""A service that speaks gRPC."""


# So that a reader whose server's host is gone notices. More pings than one in five minutes, while it sends nothing, a
# server takes for an attack; to a reader that stalls it sends nothing.
_FLIGHT_OPTIONS = (("grpc.keepalive_time_ms", 310_000), ("grpc.keepalive_timeout_ms", 20_000))


class NotConnected(FailedPrecondition):
    """No Headwater was found: neither in the environment nor in a state directory."""

    reason = "NOT_CONNECTED"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where each service listens, as ``host:port``; the gateway as a URL."""

    registry: str = "127.0.0.1:50051"
    dataset: str = "127.0.0.1:50052"
    dataset_flight: str = "127.0.0.1:50062"
    dataset_flight_socket: str = ""
    """The Unix socket of the same, for clients on its host; empty where there is none."""
    preprocessing: str = "127.0.0.1:50053"
    training: str = "127.0.0.1:50054"
    inference: str = "127.0.0.1:50055"
    inference_http: str = "127.0.0.1:50065"
    """Where the inference service answers the Open Inference Protocol over HTTP."""
    inference_flight: str = "127.0.0.1:50075"
    """Where the inference service answers Arrow Flight: records of requests."""
    gateway: str = "http://127.0.0.1:9000"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], defaults: Self | None = None) -> Self:
        """The defaults, overridden by ``HEADWATER_<SERVICE>_ADDRESS``, ``HEADWATER_GATEWAY_URL`` and
        ``HEADWATER_DATASET_FLIGHT_SOCKET``. The default socket is that of the default address only."""
        endpoints = defaults or cls()
        if "HEADWATER_DATASET_FLIGHT_ADDRESS" in environment:
            endpoints = dataclasses.replace(endpoints, dataset_flight_socket="")
        found = {
            field.name: environment[variable]
            for field in dataclasses.fields(cls)
            if (variable := _variable(field.name)) in environment
        }
        return dataclasses.replace(endpoints, **found)


def _variable(endpoint: str) -> str:
    if endpoint.endswith("_socket"):
        return f"HEADWATER_{endpoint.upper()}"
    return "HEADWATER_GATEWAY_URL" if endpoint == "gateway" else f"HEADWATER_{endpoint.upper()}_ADDRESS"


class Connection:
    """Channels to the services, opened on first use. Close it, or use it as a context manager.

    ``token`` may be a function, asked at each call: for tokens that change while the connection lives.
    """

    def __init__(self, endpoints: Endpoints, token: str | Callable[[], str] = "") -> None:
        self.endpoints = endpoints
        self._token = token
        self._channels: dict[str, grpc.Channel] = {}
        self._flight: pyarrow.flight.FlightClient | None = None
        self._inference_flight: pyarrow.flight.FlightClient | None = None
        self._lock = threading.Lock()

    @classmethod
    def discover(cls, environment: Mapping[str, str] | None = None, directory: Path | None = None) -> Self:
        """Find the Headwater to talk to.

        The state directory is ``HEADWATER_HOME``, else the nearest ``.headwater`` in ``directory`` (the working
        directory) or above it; it holds ``endpoints.json`` and ``token``. ``HEADWATER_<SERVICE>_ADDRESS`` and
        ``HEADWATER_TOKEN`` override it.

        Raises:
            NotConnected: when there is neither a state directory nor a token in the environment.
        """
        environment = os.environ if environment is None else environment
        home = _state_directory(environment, directory or Path.cwd())
        defaults = None
        token = environment.get("HEADWATER_TOKEN", "")
        if home is not None and (home / "endpoints.json").exists():
            defaults = Endpoints(**json.loads((home / "endpoints.json").read_text()))
            token = token or (home / "token").read_text().strip()
        elif not any(name in environment for name in ("HEADWATER_TOKEN", "HEADWATER_REGISTRY_ADDRESS")):
            raise NotConnected("No Headwater found here: run `make up`, or set HEADWATER_HOME or HEADWATER_TOKEN.")
        return cls(Endpoints.from_environment(environment, defaults), token)

    @property
    def token(self) -> str:
        """The bearer token; empty while authentication is off."""
        return self._token if isinstance(self._token, str) else self._token()

    def channel(self, area: Area) -> grpc.Channel:
        """The gRPC channel to one service; calls on it carry the token and raise ``headwater.errors``."""
        with self._lock:
            if area not in self._channels:
                self._channels[area] = rpc.channel(getattr(self.endpoints, area), token=lambda: self.token)
            return self._channels[area]

    def flight(self) -> "pyarrow.flight.FlightClient":
        """The Arrow Flight client of the dataset service; pass :meth:`flight_options` with each call.

        It goes through the service's Unix socket where that can be connected to, which is faster than TCP.
        """
        from pyarrow import flight

        with self._lock:
            if self._flight is None:
                path = self.endpoints.dataset_flight_socket
                place = f"grpc+unix://{path}" if path and listens(path) else f"grpc://{self.endpoints.dataset_flight}"
                self._flight = flight.FlightClient(place, generic_options=list(_FLIGHT_OPTIONS))
            return self._flight

    def inference_flight(self) -> "pyarrow.flight.FlightClient":
        """The Arrow Flight client of the inference service; pass :meth:`flight_options` with each call."""
        from pyarrow import flight

        with self._lock:
            if self._inference_flight is None:
                place = f"grpc://{self.endpoints.inference_flight}"
                self._inference_flight = flight.FlightClient(place, generic_options=list(_FLIGHT_OPTIONS))
            return self._inference_flight

    def flight_options(self, timeout_s: float | None = None) -> "pyarrow.flight.FlightCallOptions":
        """Call options that carry the token and, when given, a deadline."""
        from pyarrow import flight

        headers = [(b"authorization", b"Bearer " + self.token.encode())] if self.token else []
        return flight.FlightCallOptions(timeout=timeout_s, headers=headers)

    def close(self) -> None:
        """Close everything that was opened."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()
            for client in (self._flight, self._inference_flight):
                if client is not None:
                    client.close()
            self._flight = self._inference_flight = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _state_directory(environment: Mapping[str, str], directory: Path) -> Path | None:
    if home := environment.get("HEADWATER_HOME"):
        return Path(home)
    for candidate in (directory, *directory.parents):
        if (candidate / ".headwater").is_dir():
            return candidate / ".headwater"
    return None
