"""The REST interface: JSON in the shape of the protos."""

import asyncio
import dataclasses

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.trace import trace


class Rest:
    """REST over the services, in the caller's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The resources."""
        return [Route("/api/v1/traces/{request_id}", self.trace, methods=["GET"])]

    async def trace(self, request: Request) -> Response:
        """One request, traced back: ``headwater.trace.Node`` as JSON; ``?project=`` unless it is the default one."""
        request_id, project = request.path_params["request_id"], request.query_params.get("project", DEFAULT_PROJECT)
        root = await asyncio.to_thread(trace, self._connection, request_id, project=project)
        return JSONResponse(dataclasses.asdict(root))
