"""What this service can be told, beside what every service can (``chassis.settings``)."""

from typing import Annotated

from pydantic import Field

from chassis.settings import Port, ServiceSettings

# It stands in programs that people copy.
Address = Annotated[str, Field(pattern=r"^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}$")]


class Settings(ServiceSettings):
    """The gateway's settings. Its gRPC port serves health and reflection only."""

    port: Port = 50056
    """The gRPC port."""
    admin_port: Port = 51056
    """The admin HTTP port."""
    http_port: Port = 9000
    """The public HTTP port: the web console and the REST interface."""
    told_inference_address: Address = "127.0.0.1:50055"
    """Where clients reach the inference service over gRPC, ``host:port``: what pages tell them. The gateway itself
    goes by ``inference_address``."""
    told_inference_http_address: Address = "127.0.0.1:50065"
    """The same over HTTP."""
