"""What every Headwater service stands on: one process, its edges, its settings (see ``chassis.service``)."""

import chassis.forking  # noqa: F401 - before anything imports gRPC
from chassis.process import run
from chassis.service import Service
from chassis.settings import ServiceSettings

__all__ = ["Service", "ServiceSettings", "run"]
