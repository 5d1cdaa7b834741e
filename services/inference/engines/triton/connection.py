"""Calls to a server that an operator allows, at an address that was looked up and checked (promise 15)."""

import threading
from collections.abc import Sequence
from typing import Any

import grpc
from tritonclient.grpc import service_pb2_grpc

from chassis.hosts import HostRule, Target, resolve
from services.inference.engines.engine import EngineFailed, EngineTimedOut, ModelRefused
from services.inference.engines.triton.endpoint import TritonEndpoint
from services.inference.engines.triton.errors import RETRY_MS, RemoteAway, RemoteBusy

_MAX_MESSAGE_BYTES = 2**31 - 1
_BUSY = "exceeds maximum queue size"  # Triton has no code of its own for it
_Code = grpc.StatusCode


class Connection:
    """The way to one endpoint. One thread calls at a time, any may stop or close.

    The host is looked up anew, and its address checked again, after the server has been away.
    """

    def __init__(
        self, endpoint: TritonEndpoint, hosts: Sequence[HostRule], *, certificates: bytes | None, timeout_s: float
    ) -> None:
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self._hosts = hosts
        self._certificates = certificates
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._stub: Any = None
        self._calling = False

    @property
    def open(self) -> bool:
        """Whether there is a connection that has not failed."""
        return self._channel is not None

    def call(self, method: str, request: Any) -> Any:
        """The answer of a method of GRPCInferenceService.

        Raises:
            HostNotAllowed: the operator does not allow the host, or the address that it leads to now.
            RemoteAway, RemoteBusy: asking again later can help.
            EngineTimedOut: no answer came in time.
            EngineFailed: the server cannot answer this, or the call was stopped.
        """
        with self._lock:
            if self._channel is None:
                self._channel = self._connect()
                self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
            self._calling = True
        try:
            # Not .future(), which could be cancelled by itself: that goes through another thread, and costs half as
            # much again.
            return getattr(self._stub, method)(request, timeout=self.timeout_s)
        except grpc.RpcError as error:
            raise self._failure(error) from error
        except ValueError as error:  # closed just before
            raise EngineFailed from error
        finally:
            self._calling = False

    def stop(self) -> None:
        """End the call that waits for its answer, if there is one, and the connection with it; the server is told."""
        if self._calling:
            self.close()

    def close(self) -> None:
        """Leave the server; the next call would connect again."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _connect(self) -> grpc.Channel:
        target = resolve(self._hosts, self.endpoint.host, self.endpoint.port)
        if not (self.endpoint.tls or target.vouched):
            raise ModelRefused(f"{target.host} must be spoken to with TLS, unless the operator lists its address too.")
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.enable_http_proxy", 0),  # it would look the name up by itself
            ("grpc.default_authority", self.endpoint.address),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if not self.endpoint.tls:
            return grpc.insecure_channel(_address(target), options)
        credentials = grpc.ssl_channel_credentials(self._certificates)
        return grpc.secure_channel(_address(target), credentials, [*options, (_NAME, target.host)])

    def _failure(self, error: Any) -> Exception:
        code, said = error.code(), str(error.details() or "")
        if (code is _Code.UNAVAILABLE and _BUSY in said.lower()) or code is _Code.RESOURCE_EXHAUSTED:
            return RemoteBusy(retry_after_ms=RETRY_MS)
        if code in (_Code.UNAVAILABLE, _Code.NOT_FOUND, _Code.UNAUTHENTICATED, _Code.PERMISSION_DENIED):
            self.close()
            what = "The server does not know the model." if code is _Code.NOT_FOUND else ""
            return RemoteAway(what, retry_after_ms=RETRY_MS)
        if code is _Code.DEADLINE_EXCEEDED:
            return EngineTimedOut()
        return EngineFailed()


_NAME = "grpc.ssl_target_name_override"  # what is connected to is an address; what is proved is the name


def _address(target: Target) -> str:
    kind, address = ("ipv6", f"[{target.address}]") if ":" in target.address else ("ipv4", target.address)
    return f"{kind}:{address}:{target.port}"
