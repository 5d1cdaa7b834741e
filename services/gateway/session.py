"""Signing in with a browser: a form takes a token and keeps it in a cookie that scripts cannot read."""

import urllib.parse
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from chassis.auth import Authenticator
from chassis.http.auth import SESSION_COOKIE
from headwater.errors import InvalidArgument, Unauthenticated
from services.gateway.pages import page

LOGIN: Final = "/login"
_MAX_FORM_BYTES: Final = 16 * 1024


class Session:
    """The form and what it does."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    @property
    def routes(self) -> list[Route]:
        """Where it is found."""
        return [
            Route(LOGIN, self.form, methods=["GET"]),
            Route(LOGIN, self.sign_in, methods=["POST"]),
            Route("/logout", self.sign_out, methods=["POST"]),
        ]

    async def form(self, request: Request) -> Response:
        """Ask for a token."""
        return page("login.html", failed=False, next=_own_path(request.query_params.get("next", "/")))

    async def sign_in(self, request: Request) -> Response:
        """Check the token and keep it."""
        fields = urllib.parse.parse_qs(await _body(request))
        token = fields.get("token", [""])[0].strip()
        target = _own_path(fields.get("next", ["/"])[0])
        try:
            self._authenticator.authenticate(token)
        except Unauthenticated:
            return page("login.html", 401, failed=True, next=target)
        response = RedirectResponse(target, 303)
        secure = request.url.scheme == "https"
        response.set_cookie(SESSION_COOKIE, token, httponly=True, samesite="lax", secure=secure)
        return response

    async def sign_out(self, _request: Request) -> Response:
        """Forget the token."""
        response = RedirectResponse(LOGIN, 303)
        response.delete_cookie(SESSION_COOKIE)
        return response


async def _body(request: Request) -> str:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_FORM_BYTES:
            raise InvalidArgument(f"The form is larger than {_MAX_FORM_BYTES} bytes.")
    return body.decode("ascii", "replace")


def _own_path(target: str) -> str:
    """``target`` if it is a path of ours, else the first page: a link must not send who signs in to another site."""
    parts = urllib.parse.urlsplit(target)
    own = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if own else "/"
