"""Errors on pages."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from chassis.http.errors import HTTP_STATUS
from chassis.telemetry import current_trace_id
from headwater.errors import HeadwaterError
from services.gateway.pages import page

Handler = Callable[[Request], Awaitable[Response]]


def explained(handler: Handler) -> Handler:
    """``handler``, whose errors a browser gets as a page and anybody else as the chassis answers them."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except HeadwaterError as error:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            return page("error.html", HTTP_STATUS[error.code], error=error, trace_id=current_trace_id())

    return answer
