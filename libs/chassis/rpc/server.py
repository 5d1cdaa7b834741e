"""The gRPC server of a service: finite limits, health, reflection, and the interceptors around every method."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from chassis.auth import Role
from chassis.errors import StartupError
from chassis.rpc.codec import Codec
from chassis.rpc.health import HealthServicer
from chassis.rpc.http2.connection import Limits
from chassis.rpc.http2.server import Http2Server
from chassis.rpc.interceptors import Handler, Interceptors, Method
from chassis.rpc.validation import check_rules
from chassis.settings import ServiceSettings
from chassis.sockets import bind
from chassis.telemetry import Metrics
from headwater.auth.v1 import auth_pb2
from headwater.errors import Unimplemented

_MAX_METADATA_BYTES = 16 * 1024
_KEEPALIVE_S = 60.0
_HEALTH: Any = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION: Any = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]


class UnknownMethod(Unimplemented):
    """No service of this process has such a method."""

    reason = "UNKNOWN_METHOD"
    text = "There is no such method."


class RpcServer:
    """Methods with a role each, behind one port."""

    def __init__(self, settings: ServiceSettings, interceptors: Interceptors, metrics: Metrics) -> None:
        self._settings = settings
        self._interceptors = interceptors
        self._metrics = metrics
        self._methods: dict[str, Method] = {}
        self._server = Http2Server(
            Limits(
                max_message_bytes=settings.max_message_bytes,
                max_metadata_bytes=_MAX_METADATA_BYTES,
                # Who makes more calls than are admitted is told so; who makes many more waits for them.
                max_streams=2 * settings.max_concurrent_calls,
                keepalive_s=_KEEPALIVE_S,
            )
        )
        self._names: list[str] = []
        self.health = HealthServicer()
        self.port = 0

    @property
    def methods(self) -> Mapping[str, Role | None]:
        """Every method by its path with the role that it needs; None: public. For the promise of default deny."""
        return {path: method.role for path, method in self._methods.items()}

    @property
    def service_names(self) -> Sequence[str]:
        """The full names of the services added so far."""
        return tuple(self._names)

    def add(
        self,
        add_to_server: Callable[[Any, Any], None],
        servicer: object,
        descriptor: ServiceDescriptor,
        roles: Mapping[str, Role | None],
        codecs: Mapping[str, Codec] | None = None,
    ) -> None:
        """Register ``servicer`` behind the interceptors. ``codecs``, by method, take the place of protobuf's.

        Raises:
            StartupError: a method has no role, is not ``async``, or its request has a rule that does not compile.
        """
        recorder = _Recorder()
        add_to_server(servicer, recorder)
        wrapped = {}
        for descriptor_of_method in descriptor.methods:
            name = descriptor_of_method.name
            path = f"/{descriptor.full_name}/{name}"
            handler = recorder.handlers[name]
            if _is_inherited(servicer, name):
                role: Role | None = roles.get(name) or Role.READER
                handler = _not_implemented(path, handler)
            else:
                role = _role_of(descriptor_of_method, roles)
                _require_async(handler, path)
            check_rules(message_factory.GetMessageClass(descriptor_of_method.input_type)())
            method = Method(path, role, self._metrics.calls("grpc", path))
            self._methods[path] = method
            wrapped[name] = self._interceptors.wrap(method, handler, (codecs or {}).get(name))
        self._server.add(descriptor.full_name, wrapped)
        self._names.append(descriptor.full_name)

    async def start(self) -> None:
        """Listen.

        Raises:
            PortInUse: naming the setting to change.
        """
        self.add(
            health_pb2_grpc.add_HealthServicer_to_server,
            self.health,
            _HEALTH,
            {"Check": None, "List": None, "Watch": None},
        )
        names = [*self._names, _REFLECTION.full_name]
        self.add(
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server,
            ReflectionServicer(names),
            _REFLECTION,
            {"ServerReflectionInfo": Role.READER},
        )
        unknown = Method("unknown", Role.READER, self._metrics.calls("grpc", "unknown"))
        self._server.answer_unknown(self._interceptors.wrap(unknown, _refusing(UnknownMethod)))
        listener = bind(self._settings.host, self._settings.port, "HEADWATER_PORT")
        self.port = listener.getsockname()[1]
        await self._server.start(listener)

    async def stop(self, grace_s: float) -> None:
        """Take no new calls; wait up to ``grace_s`` for those in flight, then cancel them."""
        await self._server.stop(grace_s)


class _Recorder:
    """Stands in for a server while generated code registers handlers on it, so that they can be wrapped first."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Old generated code offers the same handlers this way too, or only this way."""
        for handler in handlers:  # type: ignore[attr-defined]
            methods = {path.rpartition("/")[2]: each for path, each in handler._method_handlers.items()}
            self.handlers.update(methods)

    def add_registered_method_handlers(self, _service: str, handlers: Mapping[str, Any]) -> None:
        self.handlers.update(handlers)


def _refusing(refusal: Callable[[], Unimplemented]) -> Handler:
    async def refuse(_requests: Any, _context: Any) -> None:
        raise refusal()

    # Reading a stream of bytes and answering with one fits a client of any kind of method.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _not_implemented(path: str, _handler: Any) -> Handler:
    return _refusing(lambda: Unimplemented("This server does not implement the method.", method=path))


def _is_inherited(servicer: object, name: str) -> bool:
    """Whether the method is the one of the generated base class, which implements nothing."""
    module: str = getattr(type(servicer), name).__module__
    return module.endswith("_pb2_grpc")


def _require_async(handler: Any, path: str) -> None:
    behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if not inspect.iscoroutinefunction(behaviour) and not inspect.isasyncgenfunction(behaviour):
        raise StartupError(f"{path} must be an async def; it would block every other call.")


def _role_of(method: MethodDescriptor, roles: Mapping[str, Role | None]) -> Role | None:
    if method.name in roles:
        return roles[method.name]
    declared = method.GetOptions().Extensions[auth_pb2.role]
    if declared == auth_pb2.ROLE_UNSPECIFIED:
        raise StartupError(
            f"{method.full_name} declares no role, so nobody could call it. "
            "Add: option (headwater.auth.v1.role) = ROLE_…; to it in its proto."
        )
    return Role(declared)
