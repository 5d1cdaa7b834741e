"""The HTTP application: console, REST, static files. Who may call is decided before it, by the chassis."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from headwater.client import Connection
from services.gateway.console import Console
from services.gateway.rest import Rest

PUBLIC = ("/login", "/static/")
"""What needs no token: the form that asks for one, and how it looks."""


def application(connection: Connection) -> Starlette:
    """The gateway's HTTP application."""
    static = Mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    return Starlette(routes=[*Console(connection).routes, *Rest(connection).routes, static])
