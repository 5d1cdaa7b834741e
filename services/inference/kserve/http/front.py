"""The front: one request of HTTP in, one answer out. Callers are known and may read when they get here."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from chassis.auth import current_principal
from services.inference.kserve.http import body, routes
from services.inference.kserve.http.errors import TooManyRequests
from services.inference.kserve.http.handlers import Answer, Asking, Handlers

_BODIES_AT_ONCE = 8
"""So many of the largest may be coming at a time, or more that are smaller."""


class Front:
    """An ASGI application; errors are raised, for ``errors.tell``."""

    def __init__(self, handlers: Handlers, *, max_body_bytes: int, max_requests: int) -> None:
        self._handlers = handlers
        self._max_body_bytes = max_body_bytes
        self._max_requests = max_requests
        self._room = body.Room(_BODIES_AT_ONCE * max_body_bytes)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            HeadwaterError: what the handlers raise; and TooManyRequests, NoSuchPath, MethodNotAllowed.
        """
        route, named = routes.find(scope["method"], scope["path"])
        current_principal().require(route.role)
        if self._in_flight >= self._max_requests:
            raise TooManyRequests(retry_after_ms=1000, limit=self._max_requests)
        self._in_flight += 1
        try:
            headers = dict(scope["headers"])
            content = await self._read(receive, headers) if route.method == "POST" else b""
            answer: Answer = await getattr(self._handlers, route.handler)(Asking(named, headers, content))
            await _send(answer, send)
        finally:
            self._in_flight -= 1

    async def _read(self, receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
        return await body.read(receive, headers, self._max_body_bytes, self._room)


async def _send(answer: Answer, send: Send) -> None:
    headers = [
        (b"content-type", answer.kind),
        (b"content-length", b"%d" % sum(map(len, answer.parts))),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    for part in answer.parts[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": answer.parts[-1]})
