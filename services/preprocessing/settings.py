"""What this service can be told, beside what every service can (``chassis.settings``)."""

from typing import Annotated

from pydantic import Field

from chassis.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """The preprocessing service's settings."""

    port: Port = 50053
    """The gRPC port."""
    admin_port: Port = 51053
    """The admin HTTP port."""
    cache_size_bytes: Annotated[int, Field(ge=0)] = 4 * 2**30
    """The most that the in-process cache tier may hold, in bytes (K-08)."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    """Processes that compute steps."""
    lease_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long a runner may be silent before another takes its job over, in seconds."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """How often a job is tried before it has failed, when its dependencies are away or its runner dies."""
    poll_interval_s: Annotated[float, Field(gt=0, le=60)] = 0.25
    """How often the runner looks for work, in seconds."""
