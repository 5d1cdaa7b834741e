"""Every knob of the dataset service, on top of those that all services have."""

from typing import Annotated

from pydantic import Field

from chassis.settings import Port, Seconds, ServiceSettings


class Settings(ServiceSettings):
    """The environment variables ``HEADWATER_*`` that the dataset service reads."""

    port: Port = 50052
    flight_port: Port = 50062
    """The Arrow Flight port."""
    flight_socket: str = ""
    """The absolute path of a Unix socket that serves Arrow Flight to processes of the same user. Empty: none."""
    admin_port: Port = 51052
    upload_ttl_s: Seconds = 6 * 3600.0
    """An open upload into which nothing was put for so long is given up, in seconds."""
    collect_interval_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """How often what dead uploads left behind is collected, in seconds."""
    unreachable_commit_ttl_s: Annotated[float, Field(ge=0)] = 14 * 86_400.0
    """A commit that no branch, tag or version has led to for so long is dropped with its rows, in seconds."""
    pack_write_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 600.0
    """How long storing one pack may take, in seconds."""
    pack_max_bytes: Annotated[int, Field(ge=64 * 1024, le=64 * 2**20)] = 64 * 2**20
    """The size at which a pack file is closed, in bytes; each stream that is being put holds up to two in memory."""
    max_put_streams: Annotated[int, Field(ge=1, le=1024)] = 8
    """Streams of rows put at the same time; the next one is refused with RESOURCE_EXHAUSTED and a retry hint."""
    mapped_packs: Annotated[int, Field(ge=1)] = 256
    """Pack files kept mapped for reading; each takes a file handle, and address space but no memory of its own."""
    ticket_ttl_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    """How long a ticket from GetFlightInfo can be redeemed, in seconds."""
