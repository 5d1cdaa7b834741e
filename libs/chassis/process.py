"""Running a service as a process (skeleton)."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from chassis.settings import ServiceSettings

if TYPE_CHECKING:
    from chassis.service import Service

S = TypeVar("S", bound=ServiceSettings)


def run(build: Callable[[S], Awaitable["Service"]], settings: type[S]) -> None:
    """Build the service, serve until SIGTERM, drain, exit."""
