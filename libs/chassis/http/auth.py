"""Who may use an HTTP application: default deny, with an explicit list of what is public (promise 14)."""

import urllib.parse
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.auth import Authenticator, Role, set_caller
from chassis.http.errors import Tell, error_response
from chassis.rpc.interceptors import bearer_token
from headwater.errors import HeadwaterError, PermissionDenied, Unauthenticated

SESSION_COOKIE = "headwater_session"
"""The cookie in which a browser keeps its token; set it HttpOnly and SameSite=Lax."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

HttpScheme = Callable[[Scope], str | None]
"""Another way to say who one is (an S3 signature, say): checks it and returns a token of ours for that caller.
None: the request does not use it. It raises Unauthenticated when it is used wrongly."""


class CrossSiteRequest(PermissionDenied):
    """A page of another site made a signed-in browser send this."""

    reason = "CROSS_SITE_REQUEST"
    text = "A request that changes something must come from this site's own pages."


class AuthMiddleware:
    """Lets a request through to ``app`` if its path is public or its caller is known and holds ``role``.

    A public path is exact (``/login``) or, with ``/*`` at its end, everything below it (``/static/*``). The token comes
    from ``Authorization: Bearer``, from one of ``schemes``, or from the session cookie. A browser that has none is
    sent to ``login_path``, if there is one.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        *,
        public: Sequence[str] = (),
        schemes: Sequence[HttpScheme] = (),
        login_path: str = "",
        role: Role = Role.READER,
        tell: Tell = error_response,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._exact = {path for path in public if not path.endswith("/*")} | ({login_path} if login_path else set())
        self._below = tuple(path[:-1] for path in public if path.endswith("/*"))
        self._schemes = schemes
        self._login_path = login_path
        self._role = role
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return
        try:
            self._admit(scope)
        except HeadwaterError as error:
            await self._refusal(scope, error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        try:
            token = self._token(scope, headers)
            principal = self._authenticator.authenticate(token)
        except Unauthenticated:
            if self._is_public(scope["path"]):
                return
            raise
        # While authentication is off everybody on this machine may do everything; a page in a browser on it may not.
        if not self._authenticator.enabled and scope["method"] not in _SAFE and _from_another_site(headers):
            raise CrossSiteRequest()
        principal.require(self._role)
        set_caller(principal, token)

    def _token(self, scope: Scope, headers: Headers) -> str:
        if token := bearer_token(headers.get("authorization", "")):
            return token
        for scheme in self._schemes:
            if token := scheme(scope) or "":
                return token
        token = cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE, "")
        # Only a cookie is sent by a browser without the page's doing, so only then can another site be behind it.
        if token and scope["method"] not in _SAFE and not _same_site(headers):
            raise CrossSiteRequest()
        return token

    def _is_public(self, path: str) -> bool:
        if path in self._exact:
            return True
        return ".." not in path and path.startswith(self._below) if self._below else False

    def _refusal(self, scope: Scope, error: HeadwaterError) -> Response:
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        if self._login_path and isinstance(error, Unauthenticated) and scope["method"] == "GET" and wants_page:
            return RedirectResponse(f"{self._login_path}?next={urllib.parse.quote(scope['path'])}", 303)
        return self._tell(error)


def _from_another_site(headers: Headers) -> bool:
    """Whether a browser says that a page of another site sent this; other clients say nothing of the kind."""
    return ("sec-fetch-site" in headers or "origin" in headers) and not _same_site(headers)


def _same_site(headers: Headers) -> bool:
    fetch_site = headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and urllib.parse.urlsplit(origin).netloc == headers.get("host")
