"""The admin HTTP of every service (rows M-90 to M-92): ``/ok``, ``/varz``, ``/metrics``.

``/ok`` is public and tells health and readiness: 200 as long as the process answers, whatever its dependencies do
(promise 11). ``/ok/ready`` has the same body and is 503 while the service is not ready. The others need a token.
"""

import platform
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from chassis.auth import Authenticator
from chassis.http.auth import AuthMiddleware
from chassis.http.errors import HttpEdge
from chassis.readiness import Readiness
from chassis.settings import ServiceSettings
from chassis.telemetry import Metrics, Tracing
from chassis.telemetry.metrics import CONTENT_TYPE

PUBLIC = ("/ok", "/ok/ready")


def admin_app(
    name: str,
    settings: ServiceSettings,
    readiness: Readiness,
    authenticator: Authenticator,
    tracing: Tracing,
    metrics: Metrics,
    variables: Callable[[], Mapping[str, Any]],
) -> ASGIApp:
    """The admin application of the service ``name``; ``variables`` adds what else ``/varz`` tells."""
    begun = time.monotonic()

    async def ok(_request: Request) -> Response:
        return JSONResponse(_report())

    async def ready(_request: Request) -> Response:
        return JSONResponse(_report(), 200 if readiness.ready else 503)

    async def varz(_request: Request) -> Response:
        runtime = {
            "service": name,
            "version": _version(),
            "python": platform.python_version(),
            "uptime_s": round(time.monotonic() - begun, 3),
            "argv": sys.argv[:1],
        }
        return JSONResponse({**runtime, **variables(), "settings": settings.redacted()})

    async def metrics_text(_request: Request) -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    def _report() -> dict[str, object]:
        return {"service": name, "health": "SERVING", "ready": readiness.ready, "checks": readiness.report()}

    app = Starlette(
        routes=[
            Route("/ok", ok),
            Route("/ok/ready", ready),
            Route("/varz", varz),
            Route("/metrics", metrics_text),
        ]
    )
    return HttpEdge(AuthMiddleware(app, authenticator, public=PUBLIC), "admin", tracing, metrics, app)


def _version() -> str:
    try:
        return version("headwater")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "source"
