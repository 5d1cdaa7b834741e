"""Real PostgreSQL and Valkey servers from wheels, for one machine and for tests."""

from chassis.embedded.postgres import EmbeddedPostgres
from chassis.embedded.server import ServerDidNotStart
from chassis.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedValkey", "ServerDidNotStart"]
