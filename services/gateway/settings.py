"""What this service can be told, beside what every service can (``chassis.settings``)."""

from chassis.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """The gateway's settings. Its gRPC port serves health and reflection only."""

    port: Port = 50056
    """The gRPC port."""
    admin_port: Port = 51056
    """The admin HTTP port."""
    http_port: Port = 9000
    """The public HTTP port: the web console and the REST interface."""
