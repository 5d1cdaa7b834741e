"""The outermost layers around an HTTP application: telemetry, then errors, the same ones that gRPC callers get.

{"error": {"code": "NOT_FOUND", "reason": "MODEL_NOT_FOUND", "message": "…", "metadata": {…}, "trace_id": "…"}}
"""

import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from opentelemetry.trace import Span
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.rpc.status import as_headwater_error
from chassis.telemetry import Metrics, Tracing, current_trace_id
from headwater.errors import BY_CODE, Code, HeadwaterError

Tell: TypeAlias = Callable[[HeadwaterError], Response]
"""Makes the answer that tells of an error, in the form that an application's clients expect."""

HTTP_STATUS: Mapping[Code, int] = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.INTERNAL: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
"""google.rpc.Code's own table (google/rpc/code.proto)."""


def error_response(error: HeadwaterError) -> JSONResponse:
    """The HTTP answer that tells of ``error``."""
    body: dict[str, object] = {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "trace_id": current_trace_id(),
    }
    if error.violations:
        body["violations"] = [{"field": field, "description": text} for field, text in error.violations]
    return JSONResponse({"error": body}, HTTP_STATUS[error.code], error_headers(error))


def error_headers(error: HeadwaterError) -> dict[str, str]:
    """What an answer that tells of ``error`` says in its headers."""
    headers = {}
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(-(-error.retry_after_ms // 1000))
    if error.code is Code.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def _response_to(error: Exception, place: str, tell: Tell = error_response) -> Response:
    if isinstance(error, HTTPException):  # the framework's own: no such page, no such method
        code = next(
            (code for code, status in HTTP_STATUS.items() if status == error.status_code), Code.INVALID_ARGUMENT
        )
        response = error_response(BY_CODE[code](error.detail))
        response.status_code = error.status_code
        response.headers.update(error.headers or {})
        return response
    return tell(as_headwater_error(error, place))


def _answer_error(request: Request, error: Exception) -> Response:
    request.scope[_TOLD] = True
    return _response_to(error, f"{request.method} {request.url.path}")


class HttpEdge:
    """Telemetry and errors around ``app``.

    Starlette answers for an exception before it lets it out, so in a Starlette application our answers are put in the
    place of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        name: str,
        tracing: Tracing,
        metrics: Metrics,
        inner: ASGIApp,
        tell: Tell = error_response,
    ) -> None:
        """``inner`` is the application itself, inside of what is around it in ``app``."""
        if isinstance(inner, Starlette):
            for kind in (HeadwaterError, HTTPException, Exception):
                inner.add_exception_handler(kind, _answer_error)
        self._app = app
        self._name = name
        self._tracing = tracing
        self._metrics = metrics
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # nothing of ours speaks it
                await send({"type": "websocket.close", "code": 1000})
            return
        begun = time.perf_counter()
        headers = Headers(scope=scope)
        span = self._tracing.begin(
            f"HTTP {scope['method']}", headers.get("traceparent", ""), headers.get("tracestate", "")
        )
        # The method is the caller's text: a label for each invention would fill the memory.
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        calls = self._metrics.calls("http", f"{self._name} {method}")
        calls.begin()
        status, complete = 0, False

        async def watched(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if complete:  # it has been answered for
                return
            place = f"{scope['method']} {scope['path']}"
            response = None if _TOLD in scope else _response_to(error, place, self._tell)
            if status or response is None:  # the answer has begun: cutting it off is the only way left to say it failed
                raise ConnectionAbortedError from None
            await response(scope, receive, watched)
        finally:
            calls.end(str(status or 499), time.perf_counter() - begun)
            _end(span, status)


_TOLD = "headwater.told"
"""In the scope of a request whose error is in the log already."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _end(span: Span | None, status: int) -> None:
    if span is not None:
        span.set_attribute("http.response.status_code", status)
        span.end()
