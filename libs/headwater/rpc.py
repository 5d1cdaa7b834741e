"""gRPC channels that carry the caller's token, set a deadline, try again where that is safe, and raise our errors.

    with rpc.channel("127.0.0.1:50051", token=token) as channel:
        model = models_pb2_grpc.ModelServiceStub(channel).GetModel(models_pb2.GetModelRequest(name=name))

A call that fails raises the class of ``headwater.errors`` for its code, with the server's ``reason`` and ``trace_id``.
A call that found the service away is repeated, a few times within its deadline, if repeating it cannot do harm: it
only reads, or it carries a ``request_id``.
"""

import asyncio
import dataclasses
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import grpc
import grpc.aio

from headwater.errors import HeadwaterError, Unavailable
from headwater.status import DETAILS_KEY, from_bytes, from_code

DEFAULT_TIMEOUT_S = 30.0
MAX_MESSAGE_BYTES = 64 * 2**20

Token = str | Callable[[], str]
Headers = Callable[[], Sequence[tuple[str, str]]]

_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.1
_READS = (
    *("Get", "List", "Find", "Check", "Compare", "Export", "Sample", "Search", "Resolve", "Query"),
    *("Server", "Model"),
)
"""How the names of methods that only read begin; KServe's are ServerReady, ModelMetadata, ModelInfer and their like."""


def channel(
    address: str,
    *,
    token: Token = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> grpc.Channel:
    """A channel for code without an event loop; it connects at the first call. Close it, or use it in a ``with``.

    ``token`` may be a function, which is asked at each call. ``timeout_s`` is the deadline of calls with one answer
    that set none of their own; streams have none.
    """
    inner = grpc.insecure_channel(address, options=_options(max_message_bytes))
    return _Channel(inner, _Policy(address, token, timeout_s))


def aio_channel(
    address: str,
    *,
    token: Token = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    headers: Headers = lambda: (),
    time_left: Callable[[], float | None] = lambda: None,
) -> grpc.aio.Channel:
    """The same for asyncio. For services, ``headers`` gives more metadata for each call (the trace goes on with it),
    and ``time_left`` the seconds that the caller in whose name it is made still waits: no call lasts longer.
    """
    inner = grpc.aio.insecure_channel(address, options=_options(max_message_bytes))
    return _AioChannel(inner, _Policy(address, token, timeout_s, headers, time_left))


def from_rpc_error(error: grpc.RpcError, address: str = "") -> HeadwaterError:
    """The error that the server raised, or, where none of ours answered, the one that fits the code."""
    for key, value in _trailers(error):
        if key == DETAILS_KEY and (told := from_bytes(value)) is not None:
            return told
    code: grpc.StatusCode = error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        where = f"{address} " if address else ""
        return Unavailable(f"The service {where}cannot be reached right now.", address=address)
    return from_code(code.name, error.details() or "")


def _trailers(error: grpc.RpcError) -> Sequence[Any]:
    trailers = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    return tuple(trailers or ())


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class _Policy:
    """What every call of a channel gets, the same for both kinds of channel."""

    address: str
    token: Token
    timeout_s: float
    headers: Headers = lambda: ()
    time_left: Callable[[], float | None] = lambda: None

    def timeout(self, given: float | None, default: float | None) -> float | None:
        """The deadline of a call, in seconds from now; None: it has none."""
        bounds = [bound for bound in (default if given is None else given, self.time_left()) if bound is not None]
        return max(0.0, min(bounds)) if bounds else None

    def metadata(self, given: Any) -> tuple[tuple[str, str | bytes], ...]:
        token = self.token if isinstance(self.token, str) else self.token()
        own = (("authorization", f"Bearer {token}"),) if token else ()
        return (*own, *self.headers(), *(given or ()))

    def attempts(self, path: str, request: Any) -> int:
        method = path.rpartition("/")[2]
        safe = method.startswith(_READS) or bool(getattr(request, "request_id", ""))
        return _ATTEMPTS if safe else 1

    def pause_s(self, error: HeadwaterError, attempt: int, deadline: float | None) -> float | None:
        """How long to wait before the next attempt; None if there is to be none."""
        if not isinstance(error, Unavailable):
            return None
        wanted = (error.retry_after_ms or 0) / 1000 or _FIRST_PAUSE_S * 2**attempt
        pause = min(wanted, 2.0) * random.uniform(0.8, 1.2)  # noqa: S311 (so that callers do not go in step)
        return None if deadline is not None and time.monotonic() + pause >= deadline else pause


class _Channel(grpc.Channel):
    def __init__(self, inner: grpc.Channel, policy: _Policy) -> None:
        self._inner = inner
        self._policy = policy

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        call = self._inner.unary_unary(method, *args, **kwargs)
        policy = self._policy

        def invoke(request: Any, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
            deadline = time.monotonic() + (policy.timeout(timeout, policy.timeout_s) or 0.0)
            attempts = policy.attempts(method, request)
            for attempt in range(attempts):
                try:
                    left = max(0.001, deadline - time.monotonic())
                    return call(request, timeout=left, metadata=policy.metadata(metadata), **options)
                except grpc.RpcError as error:
                    failure = from_rpc_error(error, policy.address)
                    pause = policy.pause_s(failure, attempt, deadline) if attempt + 1 < attempts else None
                    if pause is None:
                        raise failure from error
                    time.sleep(pause)
            raise AssertionError("the last attempt returns or raises")

        return invoke

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._streaming(self._inner.unary_stream(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._streaming(self._inner.stream_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        call = self._inner.stream_unary(method, *args, **kwargs)
        policy = self._policy

        def invoke(requests: Any, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
            try:
                return call(
                    requests, timeout=policy.timeout(timeout, None), metadata=policy.metadata(metadata), **options
                )
            except grpc.RpcError as error:
                raise from_rpc_error(error, policy.address) from error

        return invoke

    def _streaming(self, call: Any) -> Any:
        def invoke(request: Any, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
            inner = call(
                request,
                timeout=self._policy.timeout(timeout, None),
                metadata=self._policy.metadata(metadata),
                **options,
            )
            return _Responses(inner, self._policy.address)

        return invoke

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        self._inner.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Any) -> None:
        self._inner.unsubscribe(callback)

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> "_Channel":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _Responses:
    """A stream of answers that raises our errors; everything else is the call's own (``cancel()``, say)."""

    def __init__(self, call: Any, address: str) -> None:
        self._call = call
        self._address = address

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._address) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _AioChannel(grpc.aio.Channel):
    def __init__(self, inner: grpc.aio.Channel, policy: _Policy) -> None:
        self._inner = inner
        self._policy = policy

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        call = self._inner.unary_unary(method, *args, **kwargs)
        policy = self._policy

        async def invoke(request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
            deadline = time.monotonic() + (policy.timeout(timeout, policy.timeout_s) or 0.0)
            attempts = policy.attempts(method, request)
            for attempt in range(attempts):
                try:
                    left = max(0.001, deadline - time.monotonic())
                    return await call(request, timeout=left, metadata=policy.metadata(metadata), **options)
                except grpc.RpcError as error:
                    failure = from_rpc_error(error, policy.address)
                    pause = policy.pause_s(failure, attempt, deadline) if attempt + 1 < attempts else None
                    if pause is None:
                        raise failure from error
                    await asyncio.sleep(pause)
            raise AssertionError("the last attempt returns or raises")

        return invoke

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._calling(self._inner.unary_stream(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._calling(self._inner.stream_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._calling(self._inner.stream_unary(method, *args, **kwargs))

    def _calling(self, call: Any) -> Any:
        def invoke(
            request: Any = None, *, timeout: float | None = None, metadata: Any = None, **options: Any
        ) -> "_AioCall":
            inner = call(
                request,
                timeout=self._policy.timeout(timeout, None),
                metadata=self._policy.metadata(metadata),
                **options,
            )
            return _AioCall(inner, self._policy.address)

        return invoke

    async def close(self, grace: float | None = None) -> None:
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()

    async def __aenter__(self) -> "_AioChannel":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()


class _AioCall:
    """A call with a stream in it, that raises our errors however it is used; the rest is the call's own."""

    def __init__(self, call: Any, address: str) -> None:
        self._call = call
        self._address = address

    def __await__(self) -> Any:
        return self._translated(self._call).__await__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for response in self._call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._address) from error

    async def read(self) -> Any:
        return await self._translated(self._call.read())

    async def write(self, request: Any) -> None:
        await self._translated(self._call.write(request))

    async def done_writing(self) -> None:
        await self._translated(self._call.done_writing())

    async def _translated(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._address) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)
