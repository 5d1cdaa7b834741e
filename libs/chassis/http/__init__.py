"""HTTP: the admin endpoints of every service and what stands around the gateway's public application."""

from chassis.http.auth import HttpScheme
from chassis.http.server import HttpServer

__all__ = ["HttpScheme", "HttpServer"]
