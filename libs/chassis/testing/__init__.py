"""A pytest plugin (``-p chassis.testing``): private real servers, started services, a clock that only tests move.

| fixture | what a test gets |
|---|---|
| ``postgres_url`` | a database of its own in which every service's migrations have been applied |
| ``empty_postgres_url`` | a database of its own with nothing in it |
| ``redis_url`` | an empty Valkey |
| ``start_postgres``, ``start_valkey`` | servers of its own, for tests that stop, kill or fill them |
| ``blobs_dir`` | an empty directory |
| ``clock`` | a ManualClock |
| ``authenticator``, ``token_for`` | the key of this test's services, and bearer tokens by role |
| ``start_service`` | ``await start_service(build, Settings, **overrides)``: a running service, stopped after the test |
| ``connect`` | a gRPC channel to a service in a role, closed after the test |

Servers start when the first test asks for them and are gone when pytest is, however it ends.
"""

from chassis.testing.clock import ManualClock, clock
from chassis.testing.databases import databases, empty_postgres_url, own_database, postgres_url
from chassis.testing.servers import postgres_server, redis_url, servers_dir, start_postgres, start_valkey, valkey_server
from chassis.testing.services import (
    Connect,
    StartService,
    TokenFor,
    auth_key_file,
    authenticator,
    blobs_dir,
    connect,
    no_settings_from_outside,
    plain_tracebacks,
    start_service,
    token_for,
)
from chassis.testing.waiting import eventually

__all__ = [
    "Connect",
    "ManualClock",
    "StartService",
    "TokenFor",
    "auth_key_file",
    "authenticator",
    "blobs_dir",
    "clock",
    "connect",
    "databases",
    "empty_postgres_url",
    "eventually",
    "no_settings_from_outside",
    "own_database",
    "plain_tracebacks",
    "postgres_server",
    "postgres_url",
    "redis_url",
    "servers_dir",
    "start_postgres",
    "start_service",
    "start_valkey",
    "token_for",
    "valkey_server",
]
