"""The HTTP application: console, REST, static files. Who may call is decided before it, by the chassis."""

from pathlib import Path
from typing import Final

from starlette.routing import Mount, Router
from starlette.staticfiles import StaticFiles

from chassis.auth import Authenticator
from headwater.client import Connection
from services.gateway.console import Console
from services.gateway.datasets.console import DatasetPages
from services.gateway.datasets.rest import DatasetRest
from services.gateway.models.console import ModelPages
from services.gateway.rest import Rest
from services.gateway.serving.calls import Addresses
from services.gateway.serving.deployments import DeploymentPages
from services.gateway.serving.incidents import IncidentPages
from services.gateway.serving.records import RecordPages
from services.gateway.serving.rest import ServingRest
from services.gateway.session import LOGIN, Session

PUBLIC: Final = (LOGIN, "/static/*")
"""What needs no token: the form that asks for one, and how it looks."""


def application(connection: Connection, authenticator: Authenticator, told: Addresses) -> Router:
    """The gateway's HTTP application; its errors are answered by the chassis, as every edge's are.

    ``told`` is where clients reach the inference service, as pages say it.
    """
    static = Mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    faces = (
        Session(authenticator),
        Console(connection),
        DatasetPages(connection),
        ModelPages(connection),
        DeploymentPages(connection, told),
        IncidentPages(connection),
        RecordPages(connection),
        Rest(connection),
        DatasetRest(connection),
        ServingRest(connection),
    )
    return Router(routes=[*(route for face in faces for route in face.routes), static])
