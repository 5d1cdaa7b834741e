"""What happens around every gRPC call, in this order: telemetry, errors, authentication, validation, the servicer.

grpc.aio's own interceptors run as a chain of coroutines that builds new handlers for every call. These are wrapped
around each handler once, when it is registered: the same four steps cost a small call about a tenth instead of a third
of its time, and no method can be registered without them.

Requests stay bytes until the caller is known, so that nobody without a token can make us parse anything.
"""

import asyncio
import dataclasses
import functools
import inspect
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, NoReturn, TypeAlias, cast

import grpc
import grpc.aio
from google.protobuf.message import Message
from opentelemetry.trace import Span

from chassis.auth import Authenticator, Role, set_caller
from chassis.deadline import set_remaining_s
from chassis.rpc.codec import Codec, Pieces
from chassis.rpc.status import as_headwater_error, to_status
from chassis.rpc.validation import parse
from chassis.telemetry import Calls, Tracing
from headwater.errors import Cancelled, DeadlineExceeded, HeadwaterError, ResourceExhausted, Unavailable

_BEARER = "bearer "
_LONGEST_TIMER_S = 86_400.0  # a deadline further away than a day is left to the gRPC core

# Generic in their type stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class NotReady(Unavailable):
    """The service is starting: what it needs first (its migrations, say) has not succeeded yet."""

    reason = "NOT_READY"
    text = "The service is still starting."


class TooManyCalls(ResourceExhausted):
    """As many calls are in flight as the service admits at once."""

    reason = "TOO_MANY_CALLS"
    text = "The service is busy."


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """One method: its path (``/package.Service/Method``), its counters, and who may call it (None: everybody)."""

    path: str
    role: Role | None
    calls: Calls


class Interceptors:
    """The steps around every call of one server."""

    def __init__(self, authenticator: Authenticator, tracing: Tracing, max_concurrent_calls: int) -> None:
        self.authenticator = authenticator
        self.tracing = tracing
        self.max_concurrent_calls = max_concurrent_calls
        self.in_flight = 0
        self.ready = False
        """Until this is set, every method that needs a role answers UNAVAILABLE."""

    def wrap(self, method: Method, handler: Handler, codec: Codec | None = None) -> Handler:
        """``handler`` with the steps around it. Its servicer method must be ``async def``."""
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary_unary(method, handler, codec))
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._stream_unary(method, handler))
        if handler.unary_stream:
            # A handler that uses context.write() hands messages to grpc itself, which must then know how to write them.
            if inspect.iscoroutinefunction(handler.unary_stream):
                return grpc.unary_stream_rpc_method_handler(
                    self._unary_writer(method, handler), response_serializer=handler.response_serializer
                )
            return grpc.unary_stream_rpc_method_handler(self._unary_stream(method, handler))
        if inspect.iscoroutinefunction(handler.stream_stream):
            return grpc.stream_stream_rpc_method_handler(
                self._stream_writer(method, handler), response_serializer=handler.response_serializer
            )
        return grpc.stream_stream_rpc_method_handler(self._stream_stream(method, handler))

    def _unary_unary(self, method: Method, handler: Any, codec: Codec | None) -> Any:
        behaviour = handler.unary_unary
        if codec is None:
            codec = Codec(functools.partial(parse, handler.request_deserializer), handler.response_serializer)
        read, write = codec.parse, codec.write

        async def answer(raw: bytes | memoryview, context: Context) -> bytes | Pieces:
            call = _Call(self, method, context)
            try:  # what "async with" does in the other three, without its cost: small calls are of this kind
                call.admit()
                response = write(await behaviour(read(raw), context))
            except BaseException as error:
                await call.fail(error)
            call.finish("OK")
            return response

        return answer

    def _stream_unary(self, method: Method, handler: Any) -> Any:
        behaviour, read, write = handler.stream_unary, handler.request_deserializer, handler.response_serializer

        async def answer(raw: AsyncIterator[bytes | memoryview], context: Context) -> bytes:
            async with _Call(self, method, context):
                return cast(bytes, write(await behaviour(_parse_each(read, raw), context)))

        return answer

    def _unary_stream(self, method: Method, handler: Any) -> Any:
        behaviour, read, write = handler.unary_stream, handler.request_deserializer, handler.response_serializer

        async def answer(raw: bytes | memoryview, context: Context) -> AsyncIterator[bytes]:
            async with _Call(self, method, context):
                async for response in behaviour(parse(read, raw), context):
                    yield write(response)

        return answer

    def _stream_stream(self, method: Method, handler: Any) -> Any:
        behaviour, read, write = handler.stream_stream, handler.request_deserializer, handler.response_serializer

        async def answer(raw: AsyncIterator[bytes | memoryview], context: Context) -> AsyncIterator[bytes]:
            async with _Call(self, method, context):
                async for response in behaviour(_parse_each(read, raw), context):
                    yield write(response)

        return answer

    def _unary_writer(self, method: Method, handler: Any) -> Any:
        behaviour, read = handler.unary_stream, handler.request_deserializer

        async def answer(raw: bytes | memoryview, context: Context) -> None:
            async with _Call(self, method, context):
                await behaviour(parse(read, raw), context)

        return answer

    def _stream_writer(self, method: Method, handler: Any) -> Any:
        behaviour, read = handler.stream_stream, handler.request_deserializer

        async def answer(raw: AsyncIterator[bytes | memoryview], context: Context) -> None:
            async with _Call(self, method, context):
                await behaviour(_parse_each(read, raw), context)

        return answer


async def _parse_each(
    read: Callable[[bytes], Message], raw: AsyncIterator[bytes | memoryview]
) -> AsyncIterator[Message]:
    async for each in raw:
        yield parse(read, each)


class _Call:
    """One call, from its first byte to its status: an asynchronous context manager around the servicer's work."""

    __slots__ = ("_around", "_begun", "_context", "_deadline", "_method", "_span", "_timed_out", "_timer")

    def __init__(self, around: Interceptors, method: Method, context: Context) -> None:
        self._around = around
        self._method = method
        self._context = context
        self._begun = time.perf_counter()
        around.in_flight += 1
        method.calls.begin()
        self._timer: asyncio.TimerHandle | None = None
        self._timed_out = False
        self._span: Span | None = None

    async def __aenter__(self) -> None:
        try:
            self.admit()
        except BaseException as error:
            await self.fail(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            await self.fail(error)
        self.finish("OK")

    def admit(self) -> None:
        """Let the call in, or raise what forbids it."""
        authorization = traceparent = tracestate = ""
        for key, value in self._context.invocation_metadata() or ():
            if key == "authorization":
                authorization = str(value)
            elif key == "traceparent":
                traceparent = str(value)
            elif key == "tracestate":
                tracestate = str(value)
        around, role = self._around, self._method.role
        self._span = around.tracing.begin(self._method.path, traceparent, tracestate)
        if role is not None:
            token = bearer_token(authorization)
            principal = around.authenticator.authenticate(token)
            principal.require(role)
            set_caller(principal, token)
            if not around.ready:
                raise NotReady(retry_after_ms=1000)
            if around.in_flight > around.max_concurrent_calls:
                raise TooManyCalls(retry_after_ms=1000, limit=around.max_concurrent_calls)
        self._start_timer()

    def _start_timer(self) -> None:
        remaining = self._context.time_remaining()
        patience_s = set_remaining_s(remaining)
        if patience_s is None or patience_s > _LONGEST_TIMER_S:
            return
        task = asyncio.current_task()
        assert task is not None
        self._timer = task.get_loop().call_later(patience_s, self._time_out, task)

    def _time_out(self, task: asyncio.Task[Any]) -> None:
        self._timed_out = True
        task.cancel()

    async def fail(self, error: BaseException) -> NoReturn:
        """End the call with the status that ``error`` stands for; always raises."""
        if isinstance(error, grpc.aio.AbortError):  # the servicer has ended the call by itself
            self.finish("ABORTED_BY_SERVICER")
            raise error
        failure = self._failure(error)
        if failure is None:
            self.finish(Cancelled.code.name)
            raise error
        self.finish(failure.code.name)
        status = to_status(failure)
        await self._context.abort(status.code, status.text, status.trailers)

    def _failure(self, error: BaseException) -> HeadwaterError | None:
        """What to tell the caller; None if there is nobody to tell, or the process is ending."""
        if isinstance(error, asyncio.CancelledError):
            if not self._timed_out:
                return None
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            return DeadlineExceeded()
        if not isinstance(error, Exception):
            return None
        return as_headwater_error(error, self._method.path)

    def finish(self, code: str) -> None:
        """The call is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._around.in_flight -= 1
        self._method.calls.end(code, time.perf_counter() - self._begun)
        if self._span is not None:
            self._span.set_attribute("rpc.system", "grpc")
            self._span.set_attribute("rpc.response.status_code", code)
            self._span.end()


def bearer_token(authorization: str) -> str:
    """The token in an ``authorization`` header; empty if there is none, or it is of another scheme."""
    return authorization[len(_BEARER) :].strip() if authorization[: len(_BEARER)].lower() == _BEARER else ""
