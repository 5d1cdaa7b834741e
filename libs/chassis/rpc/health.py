"""grpc.health.v1, honest: the process is alive as long as it answers; it is ready only while what it needs is there."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from headwater.errors import NotFound

LIVENESS = "liveness"
"""Ask for this name to learn whether the process is alive; for a service's full name, or none, whether it is ready."""

_STATUSES: Any = health_pb2  # List is newer than the published types


class HealthServicer(health_pb2_grpc.HealthServicer):
    """The statuses of the services of one process. ``set_ready`` changes them all but liveness."""

    def __init__(self) -> None:
        self._ready = False
        self._closed = False
        self._changed = asyncio.Condition()
        self._names: set[str] = {"", LIVENESS}

    def serve(self, names: Iterable[str]) -> None:
        """Answer for these services too."""
        self._names.update(names)

    async def set_ready(self, ready: bool) -> None:
        """Tell those who ask, and those who watch, whether calls will succeed."""
        async with self._changed:
            self._ready = ready and not self._closed
            self._changed.notify_all()

    async def close(self) -> None:
        """Not ready from here on; watchers are told so and their streams end, so that they do not hold up the drain."""
        async with self._changed:
            self._ready, self._closed = False, True
            self._changed.notify_all()

    def _status(self, name: str) -> Any:
        if name not in self._names:
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        if name == LIVENESS or self._ready:
            return health_pb2.HealthCheckResponse.SERVING
        return health_pb2.HealthCheckResponse.NOT_SERVING

    async def Check(  # noqa: N802 (the proto's name)
        self, request: health_pb2.HealthCheckRequest, _context: Any
    ) -> health_pb2.HealthCheckResponse:
        """The status now; NOT_FOUND for a service that is not here."""
        if request.service not in self._names:
            raise NotFound("No such service here.", service=request.service)
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def List(  # noqa: N802
        self, _request: Any, _context: Any
    ) -> Any:
        """The status of every service here."""
        statuses = {name: health_pb2.HealthCheckResponse(status=self._status(name)) for name in self._names}
        return _STATUSES.HealthListResponse(statuses=statuses)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, _context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status now and whenever it changes; ends when the process drains."""
        told = None
        while not self._closed or told is None:
            status = self._status(request.service)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
                continue  # it may have changed while it was being sent
            async with self._changed:
                if self._status(request.service) == told and not self._closed:
                    await self._changed.wait()
        if (last := self._status(request.service)) != told:
            yield health_pb2.HealthCheckResponse(status=last)
